"""``python -m coco_audit_demo``."""

import sys

from coco_audit_demo import main

sys.exit(main())
