"""`python -m livecnn` is the command `livecnn`."""

import sys

from livecnn.cli import main

sys.exit(main())
