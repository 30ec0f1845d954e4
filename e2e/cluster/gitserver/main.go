// Gitserver serves a folder of bare repositories over HTTP and HTTPS with basic authentication, through Git's own
// http-backend. Every repository may be read and written by the one user; nobody else gets in.
//
// In: flags, and the password from GITSERVER_PASSWORD · Out: a log line per request on standard error.
package main

import (
	"bytes"
	"crypto/subtle"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	root := flag.String("root", "", "folder that holds the repositories")
	plain := flag.String("http", "127.0.0.1:0", "address for HTTP")
	secure := flag.String("https", "", "address for HTTPS; none if empty")
	cert := flag.String("cert", "", "certificate for HTTPS")
	key := flag.String("key", "", "private key for HTTPS")
	user := flag.String("user", "git", "the one user")
	flag.Parse()

	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		log.Fatalf("cannot find git: %v", err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + *root,
			"GIT_HTTP_EXPORT_ALL=1",
			"REMOTE_USER=" + *user,
		},
		InheritEnv: []string{"HOME"},
		Stderr:     os.Stderr,
	}
	handler := healthy(authenticated(*user, os.Getenv("GITSERVER_PASSWORD"), buffered(backend)))
	if *secure != "" {
		go func() { log.Fatal(http.ListenAndServeTLS(*secure, *cert, *key, handler)) }()
	}
	log.Fatal(http.ListenAndServe(*plain, handler))
}

// healthy answers /healthz, which is no repository, without a password.
func healthy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			next.ServeHTTP(w, r)
		}
	})
}

// authenticated refuses whoever does not know the user and the password.
func authenticated(user, password string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, _ := r.BasicAuth()
		nameFits := subtle.ConstantTimeCompare([]byte(name), []byte(user))
		secretFits := subtle.ConstantTimeCompare([]byte(secret), []byte(password))
		log.Printf("%s %s user=%q allowed=%v", r.Method, r.URL, name, nameFits&secretFits == 1)
		if nameFits&secretFits != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// buffered reads the body before it hands on the request: CGI must know its length, and Git sends large pushes in
// chunks without one.
func buffered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength, r.TransferEncoding = int64(len(body)), nil
		next.ServeHTTP(w, r)
	})
}
