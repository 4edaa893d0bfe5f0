// Command library serves a list of books: "serve", or "check" whether one is served.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"

	"example.org/shelf"
)

var version = "unknown" // set when it is linked

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(1)
	}
}

func run(words []string) error {
	switch {
	case len(words) == 1 && words[0] == "serve":
		return serve(setting("BOOKS", "/etc/library/books.json"))
	case len(words) == 1 && words[0] == "check":
		return check()
	}
	return fmt.Errorf("usage: library serve|check")
}

func serve(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	books, err := shelf.Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	listener, err := net.Listen("tcp", address())
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	return http.Serve(listener, handler(books))
}

func handler(books []shelf.Book) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		json.NewEncoder(writer).Encode(map[string]any{
			"version": version, "arch": runtime.GOARCH, "uid": os.Getuid(), "books": books,
		})
	})
	return mux
}

func check() error {
	response, err := http.Get("http://" + address())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answered %s", response.Status)
	}
	fmt.Println("healthy")
	return nil
}

func address() string {
	return "127.0.0.1:" + setting("PORT", "8080")
}

func setting(name, usual string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return usual
}
