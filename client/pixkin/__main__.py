"""`python -m pixkin` is `pixkin`."""

import sys

from pixkin.cli.main import main

sys.exit(main())
