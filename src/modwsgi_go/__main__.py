"""`python -m modwsgi_go` is the command mod_wsgi-express."""

import sys

from modwsgi_go.express.main import main

if __name__ == "__main__":
    sys.exit(main())
