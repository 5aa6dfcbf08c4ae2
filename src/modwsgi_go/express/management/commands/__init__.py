"""One module per command: runmodwsgi."""
