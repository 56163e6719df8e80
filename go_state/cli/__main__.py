"""`python -m go_state.cli` is the command `go-state`."""

from go_state.cli.main import main

if __name__ == "__main__":
    main()
