"""The rules of COCO files and their records (CA1xx)."""

from functools import partial

from fiftyone_coco_audit.findings import Example, rule

file_rule = partial(rule, needs="file")

NOT_A_RECORD = file_rule(
    "CA101",
    "not-a-record",
    "error",
    explanation="An entry of the file is not a JSON object, so it describes nothing.",
    advice="Remove the entry or repair the tool that wrote the file.",
    ignore="If the entry is a comment that other tools skip.",
    example=Example(images=["a.jpg"]),
    counterexample=Example(images=[{"file_name": "a.jpg"}]),
)
IMAGE_WITHOUT_ID = file_rule(
    "CA102",
    "image-without-id",
    "error",
    explanation="An image has no usable id, so no annotation can refer to it.",
    advice="Give every image a whole number as `id`.",
    ignore="If you do not need these images.",
    example=Example(images=[{"id": None}]),
    counterexample=Example(images=[{"id": 0}]),
)
DUPLICATE_IMAGE_ID = file_rule(
    "CA103",
    "duplicate-image-id",
    "error",
    explanation="Two images share an id, so their annotations cannot be told apart.",
    advice="Give every image an id of its own; the first one was kept.",
    ignore="If the second record is a copy of the first.",
    example=Example(images=[{"id": 1}, {"id": 1}]),
    counterexample=Example(images=[{"id": 1}, {"id": 2}]),
)
IMAGE_WITHOUT_FILE_NAME = file_rule(
    "CA104",
    "image-without-file-name",
    "error",
    explanation="An image has no usable `file_name`, so there is no image to show.",
    advice="Write the path of the image file relative to the image folder.",
    ignore="If you do not need these images.",
    example=Example(images=[{"file_name": ""}]),
    counterexample=Example(images=[{"file_name": "a.jpg"}]),
)
PATH_OUTSIDE = file_rule(
    "CA105",
    "path-outside-image-folder",
    "warning",
    explanation="A `file_name` points outside of the image folder, where no file is "
    "opened, and the folder does not have exactly one file of that name.",
    advice="Write paths relative to the image folder, or pass the folder that holds "
    "the files.",
    ignore="If you do not need these images.",
    example=Example(images=[{"file_name": "../lost.jpg"}]),
    counterexample=Example(images=[{"file_name": "night/../a.jpg"}]),
    changes_numbers=False,
)
IMAGE_WITHOUT_SIZE = file_rule(
    "CA106",
    "image-without-size",
    "error",
    explanation="The size of an image is neither in the file nor readable from the "
    "image.",
    advice="Write `width` and `height` in pixels into the image record.",
    ignore="If you do not need these images.",
    example=Example(images=[{"file_name": "cut.jpg", "width": 0}]),
    counterexample=Example(images=[{"file_name": "cut.jpg", "width": 640}]),
)
CATEGORY_WITHOUT_ID = file_rule(
    "CA107",
    "category-without-id",
    "error",
    explanation="A category has no usable id, so no annotation can refer to it.",
    advice="Give every category a whole number as `id`.",
    ignore="If no object has the category.",
    example=Example(categories=[{"id": None}]),
    counterexample=Example(categories=[{"id": 0}]),
)
CATEGORY_WITHOUT_NAME = file_rule(
    "CA108",
    "category-without-name",
    "error",
    explanation="A category has no name to label its objects with.",
    advice="Give every category a `name`.",
    ignore="If no object has the category.",
    example=Example(categories=[{"name": ""}]),
    counterexample=Example(categories=[{"name": "cat"}]),
)
DUPLICATE_CATEGORY_ID = file_rule(
    "CA109",
    "duplicate-category-id",
    "error",
    explanation="Two categories share an id, so their objects cannot be told apart.",
    advice="Give every category an id of its own; the first one was kept.",
    ignore="If the second record is a copy of the first.",
    example=Example(categories=[{"id": 1}, {"id": 1}]),
    counterexample=Example(categories=[{"id": 1}, {"id": 2}]),
)
UNKNOWN_IMAGE = file_rule(
    "CA110",
    "unknown-image",
    "error",
    explanation="A record refers to an image that does not exist.",
    advice="Check that both files belong to the same set of images.",
    ignore="If these images were left out on purpose.",
    example=Example(annotations=[{"image_id": 3}]),
    counterexample=Example(annotations=[{"image_id": 2}]),
)
UNKNOWN_CATEGORY = file_rule(
    "CA111",
    "unknown-category",
    "error",
    explanation="A record refers to a category that does not exist.",
    advice="Check that both files use the same category ids, counted from the same "
    "number.",
    ignore="If the category was left out on purpose.",
    example=Example(annotations=[{"category_id": 0}]),
    counterexample=Example(annotations=[{"category_id": 1}]),
)
NO_BOX = file_rule(
    "CA112",
    "no-box",
    "error",
    explanation="A record has no `bbox` of four numbers.",
    advice="Write the box as [x, y, width, height] in pixels.",
    ignore="If these records are not about objects, such as captions.",
    example=Example(annotations=[{"bbox": [10, 10, 20]}]),
    counterexample=Example(annotations=[{"bbox": [10, 10, 20, 30]}]),
)
UNUSABLE_BOX = file_rule(
    "CA113",
    "unusable-box",
    "error",
    explanation="A box has a side that is not positive, or a number that is not "
    "finite or is too large to compute with.",
    advice="Write the box as [x, y, width, height] in pixels with positive sides.",
    ignore="If these boxes are placeholders.",
    example=Example(annotations=[{"bbox": [10, 10, 0, 30]}]),
    counterexample=Example(annotations=[{"bbox": [10, 10, 0.5, 30]}]),
)
UNUSABLE_SCORE = file_rule(
    "CA114",
    "unusable-score",
    "error",
    explanation="A prediction has no finite score, so it cannot be ranked.",
    advice="Write the detector's confidence as `score`.",
    ignore="Never: a prediction without a score cannot be ranked.",
    example=Example(predictions=[{"score": None}]),
    counterexample=Example(predictions=[{"score": 0}]),
)
BROKEN_SEGMENTATION = file_rule(
    "CA115",
    "broken-segmentation",
    "warning",
    explanation="A segmentation is not a valid polygon or run-length encoding; the "
    "object was kept with its box, without a mask.",
    advice="Export the mask again if you evaluate or train on masks; boxes are not "
    "affected.",
    ignore="If you only use boxes.",
    example=Example(annotations=[{"segmentation": [[1, 1, 9, 1]]}]),
    counterexample=Example(annotations=[{"segmentation": [[1, 1, 9, 1, 9, 9]]}]),
    changes_numbers="segm",
)
DUPLICATE_ANNOTATION_ID = file_rule(
    "CA116",
    "duplicate-annotation-id",
    "error",
    explanation="An annotation repeats an earlier one: same id, image, category, box, "
    "mask and keypoints.",
    advice="Remove the copy; the import kept only the first one.",
    ignore="If you know that the file repeats annotations; the copies are left out "
    "anyway.",
    example=Example(annotations=[{"id": 7}, {"id": 7}]),
    counterexample=Example(annotations=[{"id": 7}, {"id": 8}]),
)
AMBIGUOUS_IMAGE = file_rule(
    "CA119",
    "ambiguous-image",
    "error",
    explanation="A prediction names its image by a file name that several images "
    "share.",
    advice="Write the id of the image as `image_id`, or enough of the path to tell the "
    "images apart.",
    ignore="If you do not need these predictions.",
    example=Example(predictions=[{"image_id": "c"}]),
    counterexample=Example(predictions=[{"image_id": 3}]),
)
MISSING_FILE = file_rule(
    "CA120",
    "missing-file",
    "warning",
    explanation="The file of an image is missing from the image folder, or is not a "
    "regular file.",
    advice="Add the file, or check that the image folder is the right one.",
    ignore="If you only need statistics of the labels.",
    example=Example(images=[{"file_name": "lost.jpg"}]),
    counterexample=Example(images=[{"file_name": "a.jpg"}]),
    changes_numbers=False,
)
DUPLICATE_FILE_NAME = file_rule(
    "CA121",
    "duplicate-file-name",
    "warning",
    explanation="Two images name the same file, so its objects are split between two "
    "samples, or its predictions are merged on one.",
    advice="Merge the two records unless the split is intended.",
    ignore="If one file is meant to be two images.",
    example=Example(images=[{"file_name": "a.jpg"}, {"file_name": "./a.jpg"}]),
    counterexample=Example(images=[{"file_name": "a.jpg"}, {"file_name": "b.jpg"}]),
)
ANNOTATION_WITHOUT_ID = file_rule(
    "CA122",
    "annotation-without-id",
    "warning",
    explanation="An annotation has no usable id; most COCO tools cannot read such a "
    "file.",
    advice="Give every annotation a whole number as `id`.",
    ignore="If no other tool reads the file.",
    example=Example(annotations=[{"id": None}]),
    counterexample=Example(annotations=[{"id": 0}]),
    changes_numbers=False,
)
DUPLICATE_CATEGORY_NAME = file_rule(
    "CA123",
    "duplicate-category-name",
    "warning",
    explanation="Two categories share a name; the first that has objects keeps it, and "
    "the label of the other includes its id.",
    advice="Give every category a name of its own, or merge the two.",
    ignore="If the two are different classes on purpose.",
    example=Example(categories=[{"name": "cat"}, {"name": "cat"}]),
    counterexample=Example(categories=[{"name": "cat"}, {"name": "dog"}]),
)
UNUSUAL_SEGMENTATION = file_rule(
    "CA124",
    "unusual-segmentation",
    "warning",
    explanation="A segmentation is not in COCO's format, or not of the size of its "
    "image, and was read as its most likely meaning.",
    advice="Look at the mask; write polygons as [[x1, y1, x2, y2, ...]] and run "
    "lengths as pycocotools does, because other tools may not read this file.",
    ignore="If you only use boxes, or have looked at the masks.",
    example=Example(annotations=[{"segmentation": [1, 1, 9, 1, 9, 9]}]),
    counterexample=Example(annotations=[{"segmentation": [[1, 1, 9, 1, 9, 9]]}]),
    changes_numbers="segm",
)
BOX_REPLACED = file_rule(
    "CA125",
    "box-replaced",
    "warning",
    explanation="A `bbox` cannot be used, so the box around the mask or the "
    "keypoints was used.",
    advice="Write the box as [x, y, width, height] in pixels with positive sides.",
    ignore="If you have checked that the masks or keypoints are right.",
    example=Example(
        annotations=[{"bbox": [1, 1, 0, 8], "segmentation": [[1, 1, 9, 1, 9, 9]]}]
    ),
    counterexample=Example(
        annotations=[{"bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, 1, 9, 9]]}]
    ),
)
MOSTLY_CROWDS = file_rule(
    "CA126",
    "mostly-crowds",
    "warning",
    explanation="Most annotations are marked as crowds, which an evaluation ignores "
    "together with the predictions on them, so there is little or nothing to find.",
    advice="Set `iscrowd` to 0 for single objects; CVAT writes 1 for every mask, so "
    "export polygons from it or correct the file.",
    ignore="If they really are crowds.",
    example=Example(annotations=[{"iscrowd": 1}]),
    counterexample=Example(annotations=[{"iscrowd": 0}]),
    changes_numbers=False,
)
IMAGE_IDS_IN_DOUBT = file_rule(
    "CA128",
    "image-ids-in-doubt",
    "warning",
    explanation="Some ids or file names of predictions match no image, so the others "
    "may belong to other images too, and an evaluation may be meaningless.",
    advice="Check that the predictions were made for these images, and that `image_id` "
    "is the id in the COCO file and not a position.",
    ignore="If the predictions were made for more images than these.",
    example=Example(predictions=[{"image_id": 1, "file_name": "x.jpg"}]),
    counterexample=Example(predictions=[{"image_id": 1, "file_name": "a.jpg"}]),
)
PREDICTION_OF_PARENT = file_rule(
    "CA129",
    "prediction-of-parent-category",
    "warning",
    explanation="Predictions have a category that only groups others and has no "
    "objects, as in files of Roboflow, so none of them can be right.",
    advice="Write the `category_id` of the class itself; ids that are counted from 0 "
    "may be one too low.",
    ignore="If you do not evaluate that category.",
    example=Example(predictions=[{"category_id": 3}]),
    counterexample=Example(predictions=[{"category_id": 1}]),
)
NUMBER_AS_TEXT = file_rule(
    "CA130",
    "number-as-text",
    "note",
    explanation="Numbers that are written as text were read as numbers: ids, boxes, "
    "areas, scores and the sizes of images.",
    advice="Write them as numbers, because other COCO tools stop at text.",
    ignore="If no other tool reads the file.",
    example=Example(images=[{"id": "1"}]),
    counterexample=Example(images=[{"id": "frame_1"}]),
)
NO_AREA = file_rule(
    "CA131",
    "no-area",
    "note",
    explanation="Annotations have no usable `area`, so that of the mask or else of the "
    "box was used.",
    advice="Write the area of the object in pixels if it differs.",
    ignore="If you do not use AP by size.",
    example=Example(annotations=[{"area": None}]),
    counterexample=Example(annotations=[{"area": 0}]),
)
ATTRIBUTE_NOT_KEPT = file_rule(
    "CA132",
    "attribute-not-kept",
    "note",
    explanation="An extra key was not kept, because it holds lists, objects or mixed "
    "types, or its name cannot be that of an attribute.",
    advice="Use one type of text, number or true/false per key, and keys that do not "
    "begin with `_`, have no `.` or `$` and are not empty.",
    ignore="If you do not need the attribute.",
    example=Example(annotations=[{"track": {"id": 5}}]),
    counterexample=Example(annotations=[{"track": 5}]),
)
MATCHED_BY_FILE_STEM = file_rule(
    "CA133",
    "matched-by-file-stem",
    "note",
    explanation="Predictions name images by file name, or by the number in it, instead "
    "of by id.",
    advice="Nothing to do; each such name is unique among the images.",
    ignore="If each name is that of the right image.",
    example=Example(predictions=[{"image_id": "a"}]),
    counterexample=Example(predictions=[{"image_id": 1}]),
    changes_numbers=True,
)
SIZE_FROM_FILE = file_rule(
    "CA134",
    "size-from-file",
    "note",
    explanation="Image records without a size took it from their image files.",
    advice="Write `width` and `height` into the records.",
    ignore="If the files have not been resized since they were labeled.",
    example=Example(images=[{"width": None}]),
    counterexample=Example(images=[{"width": 640}]),
)
MASK_NOT_SHOWN = file_rule(
    "CA135",
    "mask-not-shown",
    "note",
    explanation="Masks whose box is too large to draw are kept as run lengths only.",
    advice="Check the size of the box; nothing is lost for the evaluation.",
    ignore="If you do not need to see these masks.",
    example=Example(
        annotations=[
            {"bbox": [0, 0, 100000.0, 100000.0], "segmentation": [[1, 1, 9, 1, 9, 9]]}
        ]
    ),
    counterexample=Example(annotations=[{"bbox": [0, 0, 100000.0, 100000.0]}]),
)

BOX_FROM_MASK = file_rule(
    "CA136",
    "box-from-mask",
    "note",
    explanation="Annotations have a mask but no `bbox`, so the box around the mask was "
    "used.",
    advice="Write the box as [x, y, width, height] in pixels; most COCO tools need it.",
    ignore="If no other tool reads the file.",
    example=Example(annotations=[{"bbox": None, "segmentation": [[1, 1, 9, 1, 9, 9]]}]),
    counterexample=Example(
        annotations=[{"bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, 1, 9, 9]]}]
    ),
)
NEW_ANNOTATION_ID = file_rule(
    "CA137",
    "new-annotation-id",
    "note",
    explanation="Different annotations have the same id; the first one kept it and "
    "each later one got a new id, while pycocotools uses the last one of each id for "
    "all.",
    advice="Give every annotation its own id, not one that restarts in each image.",
    ignore="If no other tool reads the file.",
    example=Example(annotations=[{"id": 7, "image_id": 1}, {"id": 7, "image_id": 2}]),
    counterexample=Example(
        annotations=[{"id": 7, "image_id": 1}, {"id": 8, "image_id": 2}]
    ),
    changes_numbers=True,
)
FILE_FOUND_BY_NAME = file_rule(
    "CA140",
    "file-found-by-name",
    "note",
    explanation="Image files are not where their records say, because the paths are "
    "from another machine; each was found by its base name, which only one file has.",
    advice="Check one of the images, and write `file_name` relative to the image "
    "folder.",
    ignore="If the files are the right ones.",
    example=Example(images=[{"file_name": "C:\\data\\a.jpg"}]),
    counterexample=Example(images=[{"file_name": "a.jpg"}]),
)
FILE_NAME_FROM_URL = file_rule(
    "CA141",
    "file-name-from-url",
    "note",
    explanation="Images have no `file_name`, as in LVIS, and their `coco_url` names "
    "the file.",
    advice="Nothing to do if the files are there.",
    ignore="If the files are the right ones.",
    example=Example(images=[{"file_name": None, "coco_url": "http://host/a.jpg"}]),
    counterexample=Example(
        images=[{"file_name": "a.jpg", "coco_url": "http://host/b.jpg"}]
    ),
)
NO_IMAGE_FILES = file_rule(
    "CA142",
    "no-image-files",
    "note",
    explanation="Images were imported without their files, because no image folder was "
    "given.",
    advice="Import again with the folder for everything that needs pixels.",
    ignore="If you need no pixels.",
    example=Example(images=[{"file_name": "a.jpg"}], folder=None),
    counterexample=Example(images=[{"file_name": "a.jpg"}]),
)
MATCHED_BY_FILE_NAME = file_rule(
    "CA143",
    "matched-by-file-name",
    "note",
    explanation="Predictions have a `file_name` that contradicts their `image_id`, and "
    "the file name decides.",
    advice="Check that the file name is right; Ultralytics makes the `image_id` of the "
    "digits in it.",
    ignore="If the file names are right.",
    example=Example(predictions=[{"image_id": 2, "file_name": "a.jpg"}]),
    counterexample=Example(predictions=[{"image_id": 1, "file_name": "a.jpg"}]),
    changes_numbers=True,
)
PARENT_CATEGORY = file_rule(
    "CA144",
    "parent-category",
    "note",
    explanation="A category has no objects and is the `supercategory` of others, as "
    "Roboflow writes it, so it only groups them.",
    advice="Leave it out of the classes that you train on.",
    ignore="If you leave the category out of training.",
    example=Example(
        categories=[{"id": 1, "name": "animal"}, {"id": 2, "supercategory": "animal"}]
    ),
    counterexample=Example(
        categories=[
            {"id": 1, "supercategory": "cat"},
            {"id": 2, "supercategory": "animal"},
        ]
    ),
)
PREDICTIONS_DO_NOT_FIT = file_rule(
    "CA150",
    "predictions-do-not-fit",
    "note",
    explanation="Few predictions fit an object, but most would if their classes, boxes "
    "or images were read differently; or scores are in percent.",
    advice="Correct the program that wrote the predictions, or add the repaired ones "
    "with `repair_predictions`.",
    ignore="If the predictions are what you want to evaluate.",
    example=Example("Category ids are one too high.", shift={"category_id": 1}),
    counterexample=Example("A model draws boxes beside the objects.", shift={"x": 25}),
)
UNUSUAL_CROWD = file_rule(
    "CA145",
    "unusual-iscrowd",
    "note",
    explanation="An `iscrowd` is neither 0 nor 1, so it was read as a crowd unless it "
    'is empty, false, "0" or "false".',
    advice="Write 1 for a crowd region and 0 for a single object.",
    ignore="If these objects are not crowds.",
    example=Example(annotations=[{"iscrowd": 2}, {"iscrowd": 0}]),
    counterexample=Example(annotations=[{"iscrowd": 1}, {"iscrowd": 0}]),
    changes_numbers=True,
)
BROKEN_KEYPOINTS = file_rule(
    "CA146",
    "broken-keypoints",
    "warning",
    explanation="The `keypoints` of a record are not a list of x, y and v for each "
    "keypoint of its category; the object was kept with its box, without them.",
    advice="Write three finite numbers for each keypoint, with v 0 (not labeled), 1 "
    "(hidden) or 2 (visible) in annotations.",
    ignore="If you only use boxes or masks.",
    example=Example(annotations=[{"keypoints": [1, 1, 2, 9, 9]}]),
    counterexample=Example(annotations=[{"keypoints": [1, 1, 2, 9, 9, 0]}]),
    changes_numbers="keypoints",
)
BOX_FROM_KEYPOINTS = file_rule(
    "CA147",
    "box-from-keypoints",
    "note",
    explanation="Annotations have keypoints but neither `bbox` nor mask, so the box "
    "around the labeled keypoints was used.",
    advice="Write the box as [x, y, width, height] in pixels; most COCO tools need it.",
    ignore="If no other tool reads the file.",
    example=Example(annotations=[{"bbox": None, "keypoints": [1, 1, 2, 9, 9, 2]}]),
    counterexample=Example(
        annotations=[{"bbox": [1, 1, 8, 8], "keypoints": [1, 1, 2, 9, 9, 2]}]
    ),
)
WRONG_NUM_KEYPOINTS = file_rule(
    "CA148",
    "wrong-num-keypoints",
    "note",
    explanation="`num_keypoints` is not the number of keypoints with v above 0; COCO "
    "ignores objects on which it is 0, whatever is labeled.",
    advice="Count the keypoints with v above 0.",
    ignore="If you do not evaluate keypoints.",
    example=Example(
        annotations=[{"keypoints": [1, 1, 2, 9, 9, 2], "num_keypoints": 0}]
    ),
    counterexample=Example(
        annotations=[{"keypoints": [1, 1, 2, 9, 9, 0], "num_keypoints": 1}]
    ),
    changes_numbers="keypoints",
)
SKELETON_NOT_SHOWN = file_rule(
    "CA149",
    "skeleton-not-shown",
    "note",
    explanation="The lines between keypoints are not all drawn: FiftyOne draws one "
    "skeleton per field, and categories differ, or a line is not two of the keypoints.",
    advice="Write `skeleton` as pairs of positions in `keypoints`, counted from 1.",
    ignore="If you do not need the lines; the points are shown anyway.",
    example=Example(
        categories=[
            {"id": 1, "keypoints": ["a", "b"], "skeleton": [[0, 1]]},
            {"id": 2},
        ]
    ),
    counterexample=Example(
        categories=[
            {"id": 1, "keypoints": ["a", "b"], "skeleton": [[1, 2]]},
            {"id": 2},
        ]
    ),
)
