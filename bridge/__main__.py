"""`python -m bridge`: the same as `loyalty-bridge`."""

from bridge.cli import main

if __name__ == "__main__":
    main()
