"""Evaluation of detections: COCO's metrics, per image, and types of error."""
