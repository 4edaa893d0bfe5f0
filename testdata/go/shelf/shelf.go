// Package shelf reads a list of books.
package shelf

import (
	"encoding/json"
	"io"
	"sort"
)

// Book is one entry of the list.
type Book struct {
	Title  string `json:"title"`
	Author string `json:"author"`
	Year   int    `json:"year"`
}

// Read returns the books in a JSON document, oldest first.
func Read(document io.Reader) ([]Book, error) {
	var books []Book
	if err := json.NewDecoder(document).Decode(&books); err != nil {
		return nil, err
	}
	sort.SliceStable(books, func(one, other int) bool { return books[one].Year < books[other].Year })
	return books, nil
}
