"""The rules of what pipelines do to labels (CA6xx), one for each kind of damage."""

from fiftyone_coco_audit.findings import Rule, register_rules

#: The rule of each kind of :data:`.damage.KINDS`
RULE_OF_KIND = {
    "dropped": Rule(
        "CA601",
        "object-without-box",
        "error",
        "Objects that are still seen lose their box, so the network is taught that "
        "they are background.",
        "Lower `min_visibility` and `min_area` of the pipeline's bbox_params, or take "
        "a transform that keeps boxes, such as RandomSizedBBoxSafeCrop.",
        "Rotate with crop_border=True, which drops the box of an object at the border "
        "that is still seen.",
        "RandomSizedBBoxSafeCrop, which keeps all boxes.",
    ),
    "unlabelled": Rule(
        "CA602",
        "unlabelled-pixels",
        "error",
        "Parts or mirrored copies of objects are seen outside of all boxes, so the "
        "network is taught that they are background.",
        "Pad with a constant (border_mode=0) instead of reflecting or wrapping.",
        "PadIfNeeded with border_mode=4, reflection, around objects near the border "
        "whose copies are cut by the new border.",
        "PadIfNeeded with border_mode=0, a constant.",
    ),
    "multiplied": Rule(
        "CA603",
        "multiplied-object",
        "warning",
        "One object comes out with several boxes, mirrored copies with their own "
        "labels, which never occur in real images.",
        "Pad with a constant (border_mode=0) instead of reflecting or wrapping.",
        "PadIfNeeded with reflection, which turns 2 boxes into 6.",
        "PadIfNeeded with border_mode=0, a constant.",
    ),
    "loose": Rule(
        "CA604",
        "loose-box-after-transform",
        "warning",
        "Boxes become far larger than what is left of their objects, so the network "
        "is taught to draw loose boxes.",
        "Rotate by multiples of 90 degrees (RandomRotate90) or by a few degrees only, "
        "pad with a constant (border_mode=0), and clip boxes before they are filtered.",
        "Rotate by 45 degrees: the box around a rotated box is up to twice as large.",
        "RandomRotate90, which keeps boxes tight.",
    ),
    "empty": Rule(
        "CA605",
        "empty-box",
        "error",
        "Boxes are left around next to nothing of their objects, so the network is "
        "taught to find what is not there.",
        "Raise `min_visibility` of the pipeline's bbox_params, to .1 for example, and "
        "set clip=True.",
        "Rotate by 45 degrees, which leaves a box of 141 x 16 px around 272 of the "
        "15,000 pixels of an object.",
        "A flip, after which each box holds its whole object.",
    ),
    "truncated": Rule(
        "CA606",
        "truncated-by-transform",
        "note",
        "More than half of an object is cut off and a box is left around the rest, "
        "which may show nothing by which it could be told.",
        "Raise `min_visibility` of the pipeline's bbox_params, or take a larger part "
        "of the image in crops.",
        "RandomCrop to a quarter of the image.",
        "A crop that cuts off a tenth of an object.",
    ),
    "gone": Rule(
        "CA607",
        "object-gone",
        "note",
        "Objects leave the image together with their boxes; that is sound, but many "
        "of them are examples that are not learnt from.",
        "Take a larger part of the image in crops, or rotate and shift by less.",
        "A crop that leaves out an object at the border.",
        "A flip, which keeps all objects.",
    ),
    "shrunk": Rule(
        "CA608",
        "shrunk-to-nothing",
        "warning",
        "Objects are resized to fewer than 4 pixels across, too small to be learnt, "
        "but keep their boxes.",
        "Train on a larger input, or set `min_width` and `min_height` of the "
        "pipeline's bbox_params to 4.",
        "LongestMaxSize(640) of an image of 6,000 px with objects of 30 px.",
        "LongestMaxSize(640) of an image of 1,280 px with objects of 30 px.",
    ),
    "occluded": Rule(
        "CA609",
        "occluded-by-dropout",
        "warning",
        "A dropout overwrites most of an object and its box is left, so the network is "
        "taught to find what cannot be seen.",
        "Take smaller holes than the smallest objects, or fewer of them.",
        "CoarseDropout with holes of 64 px on objects of 30 px.",
        "CoarseDropout with holes of 8 px on objects of 60 px.",
    ),
    "swapped": Rule(
        "CA610",
        "swapped-label",
        "error",
        "A box comes out with the class of another object, or lies on another one, so "
        "the label is wrong.",
        "Look how the transform orders boxes and label_fields; a custom transform "
        "must keep them together.",
        "A custom transform that sorts boxes but not their classes.",
        "A flip, after which each box has its own class.",
    ),
    "degenerate": Rule(
        "CA611",
        "degenerate-box-after-transform",
        "warning",
        "Boxes with a side of less than a pixel come out, which many losses turn into "
        "NaN.",
        "Set `min_width` and `min_height` of the pipeline's bbox_params to 1 or more.",
        "A crop that leaves half a pixel of a box.",
        "A crop that leaves a tenth of a box of 60 px.",
    ),
}

register_rules(*RULE_OF_KIND.values())
