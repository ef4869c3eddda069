"""`python -m pixkind`."""

import sys

from pixkind.cli import main

sys.exit(main())
