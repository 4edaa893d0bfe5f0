package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"example.org/shelf"
)

func TestTheOldestBookIsFirst(t *testing.T) {
	books, err := shelf.Read(strings.NewReader(`[{"title": "b", "year": 2}, {"title": "a", "year": 1}]`))
	if err != nil || len(books) != 2 || books[0].Title != "a" {
		t.Fatal(books, err)
	}
}

func TestTheListIsServed(t *testing.T) {
	recorder := httptest.NewRecorder()
	handler([]shelf.Book{{Title: "a"}}).ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	if !strings.Contains(recorder.Body.String(), `"title":"a"`) {
		t.Fatal(recorder.Body)
	}
}
