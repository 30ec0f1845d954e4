module backstay.dev/e2e/gitserver

go 1.24
