"""The rules of what pipelines do to labels (CA6xx), one for each kind of damage."""

from functools import partial

from fiftyone_coco_audit.findings import rule

pipeline_rule = partial(rule, needs="pipeline")

pipeline_rule(
    "CA601",
    "object-without-box",
    "error",
    explanation="Objects that are still seen lose their box, so the network is "
    "taught that they are background.",
    advice="Lower `min_visibility` and `min_area` of the pipeline's bbox_params, "
    "or take a transform that keeps boxes, such as RandomSizedBBoxSafeCrop.",
    example="Rotate with crop_border=True, which drops the box of an object at the "
    "border that is still seen.",
    counterexample="RandomSizedBBoxSafeCrop, which keeps all boxes.",
)
pipeline_rule(
    "CA602",
    "unlabeled-pixels",
    "error",
    explanation="Parts or mirrored copies of objects are seen outside of all "
    "boxes, so the network is taught that they are background.",
    advice="Pad with a constant (border_mode=0) instead of reflecting or wrapping.",
    example="PadIfNeeded with border_mode=4, reflection, around objects near the "
    "border whose copies are cut by the new border.",
    counterexample="PadIfNeeded with border_mode=0, a constant.",
)
pipeline_rule(
    "CA603",
    "multiplied-object",
    "warning",
    explanation="One object comes out with several boxes, mirrored copies with "
    "their own labels, which never occur in real images.",
    advice="Pad with a constant (border_mode=0) instead of reflecting or wrapping.",
    example="PadIfNeeded with reflection, which turns 2 boxes into 6.",
    counterexample="PadIfNeeded with border_mode=0, a constant.",
)
pipeline_rule(
    "CA604",
    "loose-box-after-transform",
    "warning",
    explanation="Boxes become far larger than what is left of their objects, so "
    "the network is taught to draw loose boxes.",
    advice="Rotate by multiples of 90 degrees (RandomRotate90) or by a few degrees "
    "only, pad with a constant (border_mode=0), and clip boxes before they are "
    "filtered.",
    example="Rotate by 45 degrees: the box around a rotated box is up to twice as "
    "large.",
    counterexample="RandomRotate90, which keeps boxes tight.",
)
pipeline_rule(
    "CA605",
    "empty-box",
    "error",
    explanation="Boxes are left around next to nothing of their objects, so the "
    "network is taught to find what is not there.",
    advice="Raise `min_visibility` of the pipeline's bbox_params, to .1 for "
    "example, and set clip=True.",
    example="Rotate by 45 degrees, which leaves a box of 141 x 16 px around 272 of "
    "the 15,000 pixels of an object.",
    counterexample="A flip, after which each box holds its whole object.",
)
pipeline_rule(
    "CA606",
    "truncated-by-transform",
    "note",
    explanation="More than half of an object is cut off and a box is left around "
    "the rest, which may show nothing by which it could be told.",
    advice="Raise `min_visibility` of the pipeline's bbox_params, or take a larger "
    "part of the image in crops.",
    example="RandomCrop to a quarter of the image.",
    counterexample="A crop that cuts off a tenth of an object.",
)
pipeline_rule(
    "CA607",
    "object-gone",
    "note",
    explanation="Objects leave the image together with their boxes; that is sound, "
    "but many of them are examples that are not learned from.",
    advice="Take a larger part of the image in crops, or rotate and shift by less.",
    example="A crop that leaves out an object at the border.",
    counterexample="A flip, which keeps all objects.",
)
pipeline_rule(
    "CA608",
    "shrunk-to-nothing",
    "warning",
    explanation="Objects are resized to fewer than 4 pixels across, too small to "
    "be learned, but keep their boxes.",
    advice="Train on a larger input, or set `min_width` and `min_height` of the "
    "pipeline's bbox_params to 4.",
    example="LongestMaxSize(640) of an image of 6,000 px with objects of 30 px.",
    counterexample="LongestMaxSize(640) of an image of 1,280 px with objects of 30 px.",
)
pipeline_rule(
    "CA609",
    "occluded-by-dropout",
    "warning",
    explanation="A dropout overwrites most of an object and its box is left, so "
    "the network is taught to find what cannot be seen.",
    advice="Take smaller holes than the smallest objects, or fewer of them.",
    example="CoarseDropout with holes of 64 px on objects of 30 px.",
    counterexample="CoarseDropout with holes of 8 px on objects of 60 px.",
)
pipeline_rule(
    "CA610",
    "swapped-label",
    "error",
    explanation="A box comes out with the class of another object, or lies on "
    "another one, so the label is wrong.",
    advice="Look how the transform orders boxes and label_fields; a custom "
    "transform must keep them together.",
    example="A custom transform that sorts boxes but not their classes.",
    counterexample="A flip, after which each box has its own class.",
)
pipeline_rule(
    "CA611",
    "degenerate-box-after-transform",
    "warning",
    explanation="Boxes with a side of less than a pixel come out, which many "
    "losses turn into NaN.",
    advice="Set `min_width` and `min_height` of the pipeline's bbox_params to 1 or "
    "more.",
    example="A crop that leaves half a pixel of a box.",
    counterexample="A crop that leaves a tenth of a box of 60 px.",
)
