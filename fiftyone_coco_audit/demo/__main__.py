"""``python -m fiftyone_coco_audit.demo``."""

import sys

from fiftyone_coco_audit.demo import main

sys.exit(main())
