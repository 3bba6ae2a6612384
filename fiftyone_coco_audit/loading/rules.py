"""The rules of what loaders deliver (CA62x to CA66x).

An example changes what a sound loader delivers: ``boxes`` are corners in pixels,
``labels`` positions of classes, ``size`` is the width and height of the image.
"""

from functools import partial

import numpy as np

from fiftyone_coco_audit.findings import RULES, Example, rule

loader_rule = partial(rule, needs="loader")

_SAME_CALL = "Pass the boxes and the image to the same call of the transform."
_CLASSES = ("zebra", "ant", "mole", "cat", "bee")
_NOTHING = Example("The boxes are corners in pixels, as the loader states.")

BOX_FORMAT = loader_rule(
    "CA620",
    "box-format-mismatch",
    "error",
    explanation="The boxes are in another format than expected, such as [x, y, width, "
    "height] instead of corners.",
    advice="Convert the boxes, or pass the format that you use as `box_format`.",
    ignore="Never: pass `box_format` if the format is intended.",
    example=Example(
        "Boxes are [x, y, width, height], but corners are expected.",
        boxes=lambda b, size: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]),
    ),
    counterexample=_NOTHING,
)
SWAPPED_XY = loader_rule(
    "CA621",
    "swapped-x-y",
    "error",
    explanation="The boxes have y before x, so they are mirrored across the diagonal "
    "of their image.",
    advice="Swap the coordinates: array sizes are (height, width), points are (x, y).",
    ignore="Only if your model expects y before x, as some TensorFlow models do.",
    example=Example(
        "Boxes are [y1, x1, y2, x2].", boxes=lambda b, size: b[:, [1, 0, 3, 2]]
    ),
    counterexample=_NOTHING,
)
SWAPPED_SIZE = loader_rule(
    "CA622",
    "swapped-size",
    "error",
    explanation="The x coordinates are divided by the height of the image, and the y "
    "coordinates by its width.",
    advice="Swap the two: array sizes are (height, width), points are (x, y).",
    ignore="Never: images that are not square get wrong boxes.",
    example=Example(
        "The x coordinates are divided by the height.",
        boxes=lambda b, size: b / np.tile(size[::-1], 2),
    ),
    counterexample=_NOTHING,
)
BOX_UNIT = loader_rule(
    "CA623",
    "wrong-box-unit",
    "error",
    explanation="The boxes are fractions of the image, but pixels are expected, or the "
    "reverse.",
    advice="Multiply or divide by the width and height of the image, once.",
    ignore="Never: pass `box_format` if the unit is intended.",
    example=Example(
        "Boxes are from 0 to 1, but pixels are expected.",
        boxes=lambda b, size: b / np.tile(size, 2),
    ),
    counterexample=_NOTHING,
)
PADDING_FORGOTTEN = loader_rule(
    "CA624",
    "padding-forgotten",
    "error",
    explanation="The images are padded at the left or the top, and the boxes are not "
    "moved with them.",
    advice="Add the padding at the left and at the top to the boxes.",
    ignore="Never: the boxes are beside their objects.",
    example=Example(
        "Images are padded to 96 x 128, and boxes are only scaled.",
        resize="letterbox",
        boxes="without padding",
    ),
    counterexample=Example("Boxes are moved by the padding.", resize="letterbox"),
)
BOX_SCALE = loader_rule(
    "CA625",
    "wrong-box-scale",
    "error",
    explanation="The boxes are larger or smaller than in their images by a constant "
    "factor, usually because only the image was resized.",
    advice="Scale the boxes by the same factor as the image, once.",
    ignore="Never: the boxes are not on their objects.",
    example=Example("Boxes are 3 times too large.", boxes=lambda b, size: 3 * b),
    counterexample=_NOTHING,
)
OFFSET = loader_rule(
    "CA626",
    "offset-boxes",
    "error",
    explanation="All boxes are off by the same number of pixels, which costs AP at "
    "high IoU, most of all for small objects.",
    advice="Look for a border, a crop or padding that is counted on one side only, and "
    "for pixels that are numbered from 1.",
    ignore="If your framework numbers pixels from 1 and expects such boxes.",
    example=Example(
        "Boxes are 10 pixels too far to the right.", boxes=lambda b, _: b + 10
    ),
    counterexample=Example(
        "Boxes are rounded to whole pixels.", boxes=lambda b, _: np.round(b + 0.3)
    ),
)
BOXES_TURNED = loader_rule(
    "CA627",
    "boxes-turned-alone",
    "error",
    explanation="The boxes are flipped, and their images are not.",
    advice=_SAME_CALL,
    ignore="Never: the boxes are not on their objects.",
    example=Example(
        "The boxes are mirrored, the images are not.",
        boxes=lambda b, size: np.c_[
            size[0] - b[:, 2], b[:, 1], size[0] - b[:, 0], b[:, 3]
        ],
    ),
    counterexample=Example("Every second image is mirrored with its boxes.", flip=True),
)
SHUFFLED_LABELS = loader_rule(
    "CA628",
    "shuffled-labels",
    "error",
    explanation="Images are delivered with the labels of other images.",
    advice="Look for a list that is sorted or filtered apart from the other, or for "
    "labels that are looked up by the wrong index.",
    ignore="Never: the network learns noise.",
    example=Example("Each image has the labels of the next one.", labels_of=1),
    counterexample=_NOTHING,
)
UNKNOWN_BOXES = loader_rule(
    "CA629",
    "unknown-boxes",
    "error",
    explanation="The boxes do not match the labels of any image in any format.",
    advice="Draw some of the boxes over their images.",
    ignore="If the loader crops or distorts images at random; better switch that off "
    "for this check.",
    example=Example("Boxes are drawn at random.", boxes="at random"),
    counterexample=_NOTHING,
)
LOST_LABELS = loader_rule(
    "CA630",
    "lost-labels",
    "error",
    explanation="Labels of the dataset have no box in the loader's output, so the "
    "network learns that their objects are background.",
    advice="Look for filters by class or size, and for boxes that are dropped or "
    "overwritten.",
    ignore="If you filter these labels on purpose and treat their objects as ignored.",
    example=Example("Every third box is dropped.", rows=lambda n: np.arange(n) % 3 > 0),
    counterexample=_NOTHING,
)
REPEATED_BOXES = loader_rule(
    "CA631",
    "repeated-boxes",
    "error",
    explanation="The same box is delivered more than once, so its object counts more "
    "than once in the loss.",
    advice="Look for labels that are read, joined or appended twice.",
    ignore="If your training repeats boxes on purpose, as some DETR variants do.",
    example=Example(
        "Every box is delivered twice.", rows=lambda n: np.tile(np.arange(n), 2)
    ),
    counterexample=_NOTHING,
)
CROWDS_AS_OBJECTS = loader_rule(
    "CA632",
    "crowds-as-objects",
    "warning",
    explanation="Boxes of crowd regions are delivered as if they were single objects.",
    advice="Leave out labels with iscrowd=1, as torchvision, detectron2 and DETR do.",
    ignore="If your loss takes crowd regions and ignores them.",
    example=Example("The loader also delivers crowd regions.", crowds="delivered"),
    counterexample=Example("The loader leaves out crowd regions.", crowds="left out"),
)
EXTRA_BOXES = loader_rule(
    "CA633",
    "extra-boxes",
    "error",
    explanation="Some boxes match no label of their image, though the others do.",
    advice="Look for boxes that are kept from another image, or added by an "
    "augmentation.",
    ignore="If the loader adds objects on purpose, as copy-paste augmentation does.",
    example=Example("Two small boxes are added to each image.", more=2),
    counterexample=_NOTHING,
)
NO_SIZE = loader_rule(
    "CA634",
    "boxes-without-size",
    "error",
    explanation="Boxes have a width or height of 0, which torchvision's detectors "
    "reject.",
    advice="Drop boxes without an area, and look for rounding to whole pixels.",
    ignore="If your loss accepts such boxes.",
    example=Example(
        "The first box of each image has no height.",
        boxes=lambda b, _: np.vstack([b[:1, [0, 1, 2, 1]], b[1:]]),
    ),
    counterexample=_NOTHING,
)
FLAT_BOXES = loader_rule(
    "CA635",
    "flat-boxes",
    "error",
    explanation="Images without objects have boxes of shape (0,), which torchvision's "
    "detectors reject.",
    advice="Deliver boxes of shape (0, 4): boxes.reshape(-1, 4).",
    ignore="If your model accepts boxes of that shape.",
    example=Example("Images without objects have boxes of shape (0,).", empty=(0,)),
    counterexample=Example("They have boxes of shape (0, 4).", empty=(0, 4)),
)
EXIF_IGNORED = loader_rule(
    "CA640",
    "exif-ignored",
    "error",
    explanation="Images are not turned according to the EXIF orientation of their "
    "files, but their boxes are for upright images.",
    advice="Turn images when they are read (ImageOps.exif_transpose, or cv2.imread "
    "without IMREAD_IGNORE_ORIENTATION), if the labels are for upright images.",
    ignore="Never: the boxes are not on their objects.",
    example=Example("Files with an orientation are read as stored.", exif="ignored"),
    counterexample=Example("Such images are turned when they are read.", exif="used"),
)
IMAGE_TURNED = loader_rule(
    "CA641",
    "image-turned-alone",
    "error",
    explanation="Images are flipped or turned, and their boxes are not.",
    advice=_SAME_CALL,
    ignore="Never: the boxes are not on their objects.",
    example=Example("Only the image is mirrored.", image=lambda i: i[:, ::-1].copy()),
    counterexample=Example("Every second image is mirrored with its boxes.", flip=True),
)
IMAGE_CHANGED = loader_rule(
    "CA642",
    "image-changed-alone",
    "error",
    explanation="Images are moved, rotated, cropped or replaced, and their boxes are "
    "not.",
    advice=_SAME_CALL,
    ignore="Never: the boxes are not on their objects.",
    example=Example(
        "The image is moved by 30 pixels, the boxes are not.",
        image=lambda i: np.roll(i, 30, axis=1),
        photos=True,
    ),
    counterexample=Example(
        "The colors are inverted.", image=lambda i: 255 - i, photos=True
    ),
)
SHUFFLED_IMAGES = loader_rule(
    "CA643",
    "shuffled-images",
    "error",
    explanation="Images do not match their ids.",
    advice="Take the image and its id from the same record.",
    ignore="Never: the network learns noise.",
    example=Example("The next image comes with the labels of this one.", image_of=1),
    counterexample=_NOTHING,
)
BLANK_IMAGES = loader_rule(
    "CA644",
    "blank-images",
    "error",
    explanation="Images have a single color, but their files do not.",
    advice="Look for images that are normalized twice, or converted to whole numbers "
    "after they were divided by 255.",
    ignore="Never: there is nothing to learn from.",
    example=Example(
        "Images are divided by 256 and converted back.",
        image=lambda i: (i / 256).astype(np.uint8),
    ),
    counterexample=_NOTHING,
)
SWAPPED_CHANNELS = loader_rule(
    "CA645",
    "swapped-channels",
    "warning",
    explanation="Red and blue are swapped, unlike in the images that a network was "
    "pretrained on.",
    advice="Convert images that OpenCV reads with cv2.cvtColor(image, "
    "cv2.COLOR_BGR2RGB).",
    ignore="If your network expects the other order: pass `channels`.",
    example=Example(
        "Channels are in the order BGR.", image=lambda i: i[..., ::-1].copy()
    ),
    counterexample=_NOTHING,
)
DIVIDED_TWICE = loader_rule(
    "CA646",
    "pixels-divided-twice",
    "error",
    explanation="Pixels were divided by 255 twice, so that all images are nearly "
    "black.",
    advice="Leave out one division: ToTensor() and v2.ToDtype(scale=True) divide "
    "already.",
    ignore="Never: the network sees almost no contrast.",
    example=Example("Pixels are divided by 255 twice.", image=lambda i: i / 255 / 255),
    counterexample=Example("Pixels are divided by 255.", image=lambda i: i / 255),
)
UP_TO_255 = loader_rule(
    "CA647",
    "pixels-up-to-255",
    "warning",
    explanation="Images are floats from 0 to 255, but most models, such as those of "
    "torchvision, expect 0 to 1.",
    advice="Divide by 255 once, unless your model does that itself.",
    ignore="If your model divides by 255 itself.",
    example=Example(
        "Images are floats up to 255.", image=lambda i: i.astype(np.float32)
    ),
    counterexample=Example("Images are whole numbers up to 255."),
)
CUT = loader_rule(
    "CA648",
    "pixels-cut-to-0-and-1",
    "error",
    explanation="Images are whole numbers with no value above 1, so everything between "
    "0 and 1 is lost.",
    advice="Convert to floats before you divide by 255, and not back afterwards.",
    ignore="Never, unless the files are binary images.",
    example=Example(
        "Images are divided by 200 and converted back.",
        image=lambda i: (i / 200).astype(np.uint8),
    ),
    counterexample=_NOTHING,
)
SHIFTED_CLASSES = loader_rule(
    "CA650",
    "shifted-classes",
    "error",
    explanation="All class labels are one too high or one too low.",
    advice="Look for a background class that is counted on one side only.",
    ignore="If the shift is intended: pass `first_label`.",
    example=Example("The first class is -1.", labels=lambda k: k - 1),
    counterexample=Example(
        "The first class is 1, 0 is the background.", labels=lambda k: k + 1
    ),
)
MIXED_CLASSES = loader_rule(
    "CA651",
    "mixed-classes",
    "error",
    explanation="Objects have the classes of other objects, without any pattern.",
    advice="Look for boxes and labels that are filtered or sorted apart.",
    ignore="Never: the network learns noise.",
    example=Example(
        "The labels of each image are moved by one.", labels=lambda k: np.roll(k, 1)
    ),
    counterexample=_NOTHING,
)
MIXED_LABEL_KINDS = loader_rule(
    "CA652",
    "mixed-label-kinds",
    "error",
    explanation="Some class labels are names and others are numbers, so they cannot be "
    "compared with the classes of the dataset.",
    advice="Deliver all of them as names, or all as numbers.",
    ignore="Never: no loss accepts both.",
    example=Example(
        "Images with an even number of objects have names as labels.",
        labels=lambda k: [_CLASSES[n] for n in k] if len(k) % 2 == 0 else k,
    ),
    counterexample=_NOTHING,
)
UNKNOWN_CLASSES = loader_rule(
    "CA653",
    "unknown-classes",
    "error",
    explanation="Class labels are names that the dataset does not have.",
    advice="Let the loader and the dataset take their classes from the same list.",
    ignore="If the loader maps classes to other names on purpose.",
    example=Example("All labels are `thing`.", labels=lambda k: ["thing"] * len(k)),
    counterexample=_NOTHING,
)
CATEGORY_IDS = loader_rule(
    "CA654",
    "category-ids",
    "error",
    explanation="Class labels are the category ids of the file, but positions among "
    "the classes are expected, so some may exceed the number of classes.",
    advice="Map each category id to its position among the classes.",
    ignore="If your model has an output for each id, as torchvision's COCO models do.",
    example=Example(
        "There are 5 classes, but labels are ids such as 13.",
        labels=lambda k: np.array([2, 5, 7, 11, 13])[k],
        options={"first_label": 0},
    ),
    counterexample=Example("Labels are positions from 0.", options={"first_label": 0}),
)
PERMUTED_CLASSES = loader_rule(
    "CA655",
    "permuted-classes",
    "error",
    explanation="The loader numbers the classes in another order than the dataset.",
    advice="Let the loader and the dataset take their classes from the same list.",
    ignore="If your model is trained and evaluated with the order of the loader only.",
    example=Example(
        "The second class and the fourth are swapped.",
        labels=lambda k: np.array([0, 3, 2, 1, 4])[k],
    ),
    counterexample=_NOTHING,
)
REPEATED_SAMPLES = loader_rule(
    "CA660",
    "repeated-samples",
    "warning",
    explanation="Images are loaded more than once in an epoch, so they count more than "
    "others.",
    advice="Look for lists that are joined twice, and for samplers that draw with "
    "replacement.",
    ignore="If the sampler repeats images on purpose, as for rare classes.",
    example=Example("All images are loaded twice.", order=[*range(20), *range(20)]),
    counterexample=Example(
        "Images are loaded in another order.", order=range(19, -1, -1)
    ),
)
MISSING_SAMPLES = loader_rule(
    "CA661",
    "missing-samples",
    "warning",
    explanation="Images with labels are never loaded, so nothing is learned from them.",
    advice="Look for filters and splits, and pass the view that the loader reads.",
    ignore="If the loader leaves out these images on purpose.",
    example=Example("The last 6 of 20 images are never loaded.", order=range(14)),
    counterexample=Example("All 20 images are loaded.", order=range(20)),
)

#: Codes of the rules that compare images with their files
OF_PIXELS = frozenset(code for code in RULES if code.startswith("CA64"))
