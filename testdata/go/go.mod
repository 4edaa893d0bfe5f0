module example.org/library

go 1.19

require example.org/shelf v0.0.0

replace example.org/shelf => ./shelf
