# The commands of the project; README.md says what each is for.

LISTEN ?= 127.0.0.1:1500
DATA ?= var
SMTP_LISTEN ?= 127.0.0.1:2525
SUBMISSION_LISTEN ?= 127.0.0.1:2587
SUBMISSIONS_LISTEN ?= 127.0.0.1:2465
IMAP_LISTEN ?= 127.0.0.1:2143
IMAPS_LISTEN ?= 127.0.0.1:2993
POP3_LISTEN ?= 127.0.0.1:2110
POP3S_LISTEN ?= 127.0.0.1:2995
MANAGESIEVE_LISTEN ?= 127.0.0.1:2419
export LISTEN DATA DEMO_PASSWORD SMTP_LISTEN SUBMISSION_LISTEN SUBMISSIONS_LISTEN \
	IMAP_LISTEN IMAPS_LISTEN POP3_LISTEN POP3S_LISTEN MANAGESIEVE_LISTEN

GOFLAGS_BUILD = -trimpath -ldflags='-s -w'

.PHONY: run mail test lint bench screenshots build clean

# The reference core and the module on an embedded database, everything below DATA.
run: build
	@./tests/run-demo.sh

# A real Exim and Dovecot over the same files, in a mount namespace of its own. Needs root.
mail: build
	@./tests/setup.sh mail
	@bin/mail

# Everything: linters, then all tests, with the real servers when run as root.
test:
	@./tests/setup.sh test || echo "the tests go on with what is there"
	@./tests/run-tests.sh

lint:
	@fmt=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$fmt" ]; then echo "not gofmt-ed: $$fmt"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

# The figures of the README, each against a floor measured in the same run.
bench: build
	@go run ./tests/bench
	@go test ./tests -run '^$$' -bench . -benchtime 50x
	@go test ./module/files -run '^$$' -bench Recipient -benchtime 200x

# The pictures of the pages that the README shows.
screenshots: build
	@go run ./tests/browser/shots bin cmd/panelcore/ui/screenshots

build:
	@mkdir -p bin
	CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o bin/ ./cmd/maildomain ./cmd/panelcore ./tests/mail

clean:
	rm -rf bin
