"""`python -m pixkin` is `pixkin`."""

import sys

from pixkin.cli import main

sys.exit(main())
