"""The rules of COCO files and their records (CA1xx)."""

from functools import partial

from fiftyone_coco_audit.findings import rule

file_rule = partial(rule, needs="file")

NOT_A_RECORD = file_rule(
    "CA101",
    "not-a-record",
    "error",
    explanation="An entry of the file is not a JSON object, so it describes nothing.",
    advice="Remove the entry or repair the tool that wrote the file.",
    example='The image `"a.jpg"`.',
    counterexample='The image `{"file_name": "a.jpg"}`.',
)
IMAGE_WITHOUT_ID = file_rule(
    "CA102",
    "image-without-id",
    "error",
    explanation="An image has no usable id, so no annotation can refer to it.",
    advice="Give every image a whole number as `id`.",
    example='The image `{"id": null}`.',
    counterexample='The image `{"id": 0}`.',
)
DUPLICATE_IMAGE_ID = file_rule(
    "CA103",
    "duplicate-image-id",
    "error",
    explanation="Two images share an id, so their annotations cannot be told apart.",
    advice="Give every image an id of its own; the first one was kept.",
    example='The images `{"id": 1}` and `{"id": 1}`.',
    counterexample='The images `{"id": 1}` and `{"id": 2}`.',
)
IMAGE_WITHOUT_FILE_NAME = file_rule(
    "CA104",
    "image-without-file-name",
    "error",
    explanation="An image has no `file_name` that can be one, so there is nothing to "
    "show.",
    advice="Name the image's file relative to the image folder.",
    example='The image `{"file_name": ""}`.',
    counterexample='The image `{"file_name": "a.jpg"}`.',
)
PATH_OUTSIDE = file_rule(
    "CA105",
    "path-outside-image-folder",
    "warning",
    explanation="A `file_name` leads out of the image folder, where nothing is opened, "
    "and the folder does not have exactly one file of that name.",
    advice="Name files relative to the image folder, or give the folder that holds "
    "them.",
    example='The image `{"file_name": "../lost.jpg"}`; the folder holds a.jpg.',
    counterexample='The image `{"file_name": "night/../a.jpg"}`.',
    changes_numbers=False,
)
IMAGE_WITHOUT_SIZE = file_rule(
    "CA106",
    "image-without-size",
    "error",
    explanation="The size of an image is neither in the file nor readable from its "
    "image.",
    advice="Write `width` and `height` in pixels into the image's record.",
    example='The image `{"file_name": "cut.jpg", "width": 0}`, a broken file.',
    counterexample='The image `{"file_name": "cut.jpg", "width": 640}`, a broken file.',
)
CATEGORY_WITHOUT_ID = file_rule(
    "CA107",
    "category-without-id",
    "error",
    explanation="A category has no usable id, so no annotation can refer to it.",
    advice="Give every category a whole number as `id`.",
    example='The category `{"id": null}`.',
    counterexample='The category `{"id": 0}`.',
)
CATEGORY_WITHOUT_NAME = file_rule(
    "CA108",
    "category-without-name",
    "error",
    explanation="A category has no name to label its objects with.",
    advice="Give every category a `name`.",
    example='The category `{"name": ""}`.',
    counterexample='The category `{"name": "cat"}`.',
)
DUPLICATE_CATEGORY_ID = file_rule(
    "CA109",
    "duplicate-category-id",
    "error",
    explanation="Two categories share an id, so their objects cannot be told apart.",
    advice="Give every category an id of its own; the first one was kept.",
    example='The categories `{"id": 1}` and `{"id": 1}`.',
    counterexample='The categories `{"id": 1}` and `{"id": 2}`.',
)
UNKNOWN_IMAGE = file_rule(
    "CA110",
    "unknown-image",
    "error",
    explanation="A record refers to an image that is not there.",
    advice="Check that both files belong to the same set of images.",
    example='The annotation `{"image_id": 3}` beside images 1 and 2.',
    counterexample='The annotation `{"image_id": 2}` beside images 1 and 2.',
)
UNKNOWN_CATEGORY = file_rule(
    "CA111",
    "unknown-category",
    "error",
    explanation="A record refers to a category that is not there.",
    advice="Check that both files use the same category ids, counted from the same "
    "number.",
    example='The annotation `{"category_id": 0}` beside categories 1 and 2.',
    counterexample='The annotation `{"category_id": 1}` beside categories 1 and 2.',
)
NO_BOX = file_rule(
    "CA112",
    "no-box",
    "error",
    explanation="A record has no `bbox` of four numbers.",
    advice="Write the box as [x, y, width, height] in pixels.",
    example='The annotation `{"bbox": [10, 10, 20]}`.',
    counterexample='The annotation `{"bbox": [10, 10, 20, 30]}`.',
)
UNUSABLE_BOX = file_rule(
    "CA113",
    "unusable-box",
    "error",
    explanation="A box has a side that is not positive, or a number that is not "
    "finite or is too large to compute with.",
    advice="Write the box as [x, y, width, height] in pixels with positive sides.",
    example='The annotation `{"bbox": [10, 10, 0, 30]}`.',
    counterexample='The annotation `{"bbox": [10, 10, 0.5, 30]}`.',
)
UNUSABLE_SCORE = file_rule(
    "CA114",
    "unusable-score",
    "error",
    explanation="A prediction has no finite score, so it cannot be ranked.",
    advice="Write the detector's confidence as `score`.",
    example='The prediction `{"score": null}`.',
    counterexample='The prediction `{"score": 0}`.',
)
BROKEN_SEGMENTATION = file_rule(
    "CA115",
    "broken-segmentation",
    "warning",
    explanation="A segmentation is not a valid polygon or run-length encoding; the "
    "object was kept with its box, without a mask.",
    advice="Export the mask again if you evaluate or train on masks; boxes are not "
    "affected.",
    example='The annotation `{"segmentation": [[1, 1, 9, 1]]}`, of two points.',
    counterexample='The annotation `{"segmentation": [[1, 1, 9, 1, 9, 9]]}`, of three.',
    changes_numbers="masks",
)
DUPLICATE_ANNOTATION_ID = file_rule(
    "CA116",
    "duplicate-annotation-id",
    "error",
    explanation="An annotation repeats an earlier one: same id, image, category, box "
    "and mask.",
    advice="Remove the copy, which was set aside; the first one was kept.",
    example='The annotations `{"id": 7}` and `{"id": 7}`.',
    counterexample='The annotations `{"id": 7}` and `{"id": 8}`.',
)
AMBIGUOUS_IMAGE = file_rule(
    "CA119",
    "ambiguous-image",
    "error",
    explanation="A prediction names its image by a file name that several images "
    "share.",
    advice="Write the id of the image as `image_id`, or enough of the path to tell the "
    "images apart.",
    example='The prediction `{"image_id": "c"}` for the images day/c.jpg and '
    "night/c.jpg.",
    counterexample='The prediction `{"image_id": 3}`, where day/c.jpg has the id 3.',
)
MISSING_FILE = file_rule(
    "CA120",
    "missing-file",
    "warning",
    explanation="The file of an image is not in the image folder, or is no regular "
    "file.",
    advice="Add the file, or check that the image folder is the right one.",
    example='The image `{"file_name": "lost.jpg"}`; the folder holds a.jpg.',
    counterexample='The image `{"file_name": "a.jpg"}`; the folder holds a.jpg.',
    changes_numbers=False,
)
DUPLICATE_FILE_NAME = file_rule(
    "CA121",
    "duplicate-file-name",
    "warning",
    explanation="Two images name the same file, so its objects are split between two "
    "samples, or its predictions put together on one.",
    advice="Merge the two records unless the split is intended.",
    example='The images `{"file_name": "a.jpg"}` and `{"file_name": "./a.jpg"}`.',
    counterexample='The images `{"file_name": "a.jpg"}` and `{"file_name": "b.jpg"}`.',
)
ANNOTATION_WITHOUT_ID = file_rule(
    "CA122",
    "annotation-without-id",
    "warning",
    explanation="An annotation has no usable id; most COCO tools cannot read such a "
    "file.",
    advice="Give every annotation a whole number as `id`.",
    example='The annotation `{"id": null}`.',
    counterexample='The annotation `{"id": 0}`.',
    changes_numbers=False,
)
DUPLICATE_CATEGORY_NAME = file_rule(
    "CA123",
    "duplicate-category-name",
    "warning",
    explanation="Two categories share a name; the first that has objects keeps it, and "
    "the label of the other carries its id.",
    advice="Give every category a name of its own, or merge the two.",
    example='The categories `{"name": "cat"}` and `{"name": "cat"}`.',
    counterexample='The categories `{"name": "cat"}` and `{"name": "dog"}`.',
)
UNUSUAL_SEGMENTATION = file_rule(
    "CA124",
    "unusual-segmentation",
    "warning",
    explanation="A segmentation is not in COCO's format; it was read as what it most "
    "likely means.",
    advice="Look at the mask; write polygons as [[x1, y1, x2, y2, ...]] and run "
    "lengths as pycocotools does, because other tools may not read this file.",
    example='The annotation `{"segmentation": [1, 1, 9, 1, 9, 9]}`, one flat list.',
    counterexample='The annotation `{"segmentation": [[1, 1, 9, 1, 9, 9]]}`.',
    changes_numbers="masks",
)
BOX_REPLACED = file_rule(
    "CA125",
    "box-replaced",
    "warning",
    explanation="A `bbox` cannot be used, so the box around the mask was taken.",
    advice="Write the box as [x, y, width, height] in pixels with positive sides.",
    example='The annotation `{"bbox": [1, 1, 0, 8], "segmentation": [[1, 1, 9, 1, 9, '
    "9]]}`.",
    counterexample='The annotation `{"bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, '
    "1, 9, 9]]}`.",
)
MOSTLY_CROWDS = file_rule(
    "CA126",
    "mostly-crowds",
    "warning",
    explanation="Most annotations are marked as crowds, which an evaluation ignores "
    "together with the predictions on them, so little or nothing is left to find.",
    advice="Set `iscrowd` to 0 where an annotation is a single object; CVAT writes 1 "
    "for every mask, so export polygons from it or correct the file.",
    example='The annotation `{"iscrowd": 1}`, the only one.',
    counterexample='The annotation `{"iscrowd": 0}`, the only one.',
    changes_numbers=False,
)
IMAGE_IDS_IN_DOUBT = file_rule(
    "CA128",
    "image-ids-in-doubt",
    "warning",
    explanation="Some ids or file names of predictions are those of no image, so the "
    "others may belong to other images too and an evaluation may mean nothing.",
    advice="Check that the predictions were made for these images, and that `image_id` "
    "is the id in the COCO file and no position.",
    example='The prediction `{"image_id": 1, "file_name": "x.jpg"}`, where no image is '
    "called x.jpg.",
    counterexample='The prediction `{"image_id": 1, "file_name": "a.jpg"}` for the '
    "image a.jpg of id 1.",
)
PREDICTION_OF_PARENT = file_rule(
    "CA129",
    "prediction-of-parent-category",
    "warning",
    explanation="Predictions are of a category that only groups others and has no "
    "objects, as in files of Roboflow, so none of them can be right.",
    advice="Write the `category_id` of the class itself; ids that were counted from 0 "
    "may be one too low.",
    example='The prediction `{"category_id": 3}`, of the parent of cat and dog.',
    counterexample='The prediction `{"category_id": 1}`, of cat.',
)
NUMBER_AS_TEXT = file_rule(
    "CA130",
    "number-as-text",
    "note",
    explanation="Numbers that are written as text were read as numbers: ids, boxes, "
    "areas, scores and the sizes of images.",
    advice="Write them as numbers, because other COCO tools stop at text.",
    example='The image `{"id": "1"}`.',
    counterexample='The image `{"id": "frame_1"}`, which is no number.',
)
NO_AREA = file_rule(
    "CA131",
    "no-area",
    "note",
    explanation="Annotations have no usable `area`; that of the mask, or else the box, "
    "was taken.",
    advice="Write the area of the object in pixels if it differs.",
    example='The annotation `{"area": null}`.',
    counterexample='The annotation `{"area": 0}`.',
)
ATTRIBUTE_NOT_KEPT = file_rule(
    "CA132",
    "attribute-not-kept",
    "note",
    explanation="An extra key was not kept: it holds lists, objects or mixed types, or "
    "it is a name that no attribute can have.",
    advice="Use one type of text, number or true/false per key, and keys that do not "
    "begin with `_`, have no `.` or `$` and are not empty.",
    example='The annotation `{"track": {"id": 5}}`.',
    counterexample='The annotation `{"track": 5}`.',
)
MATCHED_BY_FILE_STEM = file_rule(
    "CA133",
    "matched-by-file-stem",
    "note",
    explanation="Predictions name images by file name, or by the number in it, instead "
    "of by id.",
    advice="Nothing to do; each such name is unique among the images.",
    example='The prediction `{"image_id": "a"}` for the image a.jpg.',
    counterexample='The prediction `{"image_id": 1}` for the image a.jpg of id 1.',
    changes_numbers=True,
)
SIZE_FROM_FILE = file_rule(
    "CA134",
    "size-from-file",
    "note",
    explanation="Image records without a size took it from their image files.",
    advice="Write `width` and `height` into the records.",
    example='The image `{"width": null}`, whose file can be read.',
    counterexample='The image `{"width": 640}`, whose file can be read.',
)
MASK_NOT_SHOWN = file_rule(
    "CA135",
    "mask-not-shown",
    "note",
    explanation="Masks whose box is too large to draw are kept as run lengths only.",
    advice="Check the size of the box; nothing is lost for the evaluation.",
    example='The annotation `{"bbox": [0, 0, 1e5, 1e5], "segmentation": [[1, 1, 9, 1, '
    "9, 9]]}`.",
    counterexample='The annotation `{"bbox": [0, 0, 1e5, 1e5]}`, which has no mask.',
)

BOX_FROM_MASK = file_rule(
    "CA136",
    "box-from-mask",
    "note",
    explanation="Annotations have a mask but no `bbox`; the box around the mask was "
    "taken.",
    advice="Write the box as [x, y, width, height] in pixels; most COCO tools need it.",
    example='The annotation `{"bbox": null, "segmentation": [[1, 1, 9, 1, 9, 9]]}`.',
    counterexample='The annotation `{"bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, '
    "1, 9, 9]]}`.",
)
NEW_ANNOTATION_ID = file_rule(
    "CA137",
    "new-annotation-id",
    "note",
    explanation="Different annotations have the same id; the first one kept it and "
    "each later one got a new id, where pycocotools would take the last one of each id "
    "for all.",
    advice="Give every annotation an id of its own, not one that restarts in each "
    "image.",
    example='The annotations `{"id": 7, "image_id": 1}` and `{"id": 7, "image_id": '
    "2}`.",
    counterexample='The annotations `{"id": 7, "image_id": 1}` and `{"id": 8, '
    '"image_id": 2}`.',
    changes_numbers=True,
)
FILE_FOUND_BY_NAME = file_rule(
    "CA140",
    "file-found-by-name",
    "note",
    explanation="Image files are not where their records say, as these paths are of "
    "another machine; each was found by its base name, which only one file has.",
    advice="Check one of them; write `file_name` relative to the image folder.",
    example='The image `{"file_name": "C:\\\\data\\\\a.jpg"}`; the folder holds a.jpg.',
    counterexample='The image `{"file_name": "a.jpg"}`; the folder holds a.jpg.',
)
FILE_NAME_FROM_URL = file_rule(
    "CA141",
    "file-name-from-url",
    "note",
    explanation="Images have no `file_name`, as in LVIS, and their `coco_url` names "
    "the file.",
    advice="Nothing to do, if the files are there.",
    example='The image `{"file_name": null, "coco_url": "http://host/a.jpg"}`.',
    counterexample='The image `{"file_name": "a.jpg", "coco_url": '
    '"http://host/b.jpg"}`.',
)
NO_IMAGE_FILES = file_rule(
    "CA142",
    "no-image-files",
    "note",
    explanation="Images were imported without their files, because no image folder was "
    "given.",
    advice="Import again with the folder for everything that needs pixels.",
    example='The image `{"file_name": "a.jpg"}`, with no folder.',
    counterexample='The image `{"file_name": "a.jpg"}`; the folder holds a.jpg.',
)
MATCHED_BY_FILE_NAME = file_rule(
    "CA143",
    "matched-by-file-name",
    "note",
    explanation="Predictions have a `file_name` that contradicts their `image_id`, and "
    "the file name decides.",
    advice="Check that the file name is right; Ultralytics makes the `image_id` of the "
    "digits in it.",
    example='The prediction `{"image_id": 2, "file_name": "a.jpg"}`, where a.jpg is '
    "the image of id 1.",
    counterexample='The prediction `{"image_id": 1, "file_name": "a.jpg"}` for the '
    "same image.",
    changes_numbers=True,
)
PARENT_CATEGORY = file_rule(
    "CA144",
    "parent-category",
    "note",
    explanation="A category has no objects and is the `supercategory` of others, as "
    "Roboflow writes it: it only groups them.",
    advice="Leave it out of the classes that you train.",
    example='The categories `{"id": 1, "name": "animal"}` and `{"id": 2, '
    '"supercategory": "animal"}`, all objects being of the second.',
    counterexample='The categories `{"id": 1, "supercategory": "cat"}` and `{"id": 2, '
    '"supercategory": "animal"}`.',
)
UNUSUAL_CROWD = file_rule(
    "CA145",
    "unusual-iscrowd",
    "note",
    explanation="An `iscrowd` is not 0 or 1; like pycocotools, the import takes any "
    'value for a crowd but 0, false and nothing, except that the texts "0" and "false" '
    "are no crowd here.",
    advice="Write 1 for a crowd region and 0 for a single object.",
    example='The annotations `{"iscrowd": 2}` and `{"iscrowd": 0}`.',
    counterexample='The annotations `{"iscrowd": 1}` and `{"iscrowd": 0}`.',
    changes_numbers=True,
)
