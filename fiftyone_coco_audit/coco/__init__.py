"""COCO files: what a record must look like, what was wrong, and the import."""
