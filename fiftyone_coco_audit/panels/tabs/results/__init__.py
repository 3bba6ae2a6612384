"""The tabs of the panel *COCO Results*, one module each."""
