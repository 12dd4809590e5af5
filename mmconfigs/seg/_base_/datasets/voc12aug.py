"""PASCAL VOC 2012 with SBD: 10,582 training images (1,464 with VOC's masks, 9,118 with SBD's), 1,449 to validate on.

In the folder `data` or the one that the environment variable SLIMBENCH_DATA names; SBD's masks and the list `aug.txt`
are made by `slimbench data prepare voc12aug` or by MMSegmentation's tools/dataset_converters/voc_aug.py:

    VOCdevkit/VOC2012/JPEGImages/*.jpg
    VOCdevkit/VOC2012/SegmentationClass/*.png         VOC's masks
    VOCdevkit/VOC2012/SegmentationClassAug/*.png      SBD's
    VOCdevkit/VOC2012/ImageSets/Segmentation/{train,aug,val}.txt

Images are scaled by one of 0.5, 0.75, ..., 2, cropped to 513x513 at random, filled with the mean colour where they are
smaller, and flipped; tested whole, at their own size.
"""

dataset = dict(name="voc12aug", input_size=(3, 513, 513), num_classes=21)
data_folder = "{{$SLIMBENCH_DATA:data}}"
data_root = data_folder + "/VOCdevkit/VOC2012"
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(
        type="RandomChoice",
        transforms=[[dict(type="Resize", scale_factor=quarters / 4, keep_ratio=True)] for quarters in range(2, 9)],
    ),
    dict(type="RandomCrop", crop_size=(513, 513)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]

dataset_train = dict(
    type="PascalVOCDataset",
    data_root=data_root,
    ann_file="ImageSets/Segmentation/train.txt",
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
    pipeline=train_pipeline,
)
dataset_aug = dict(
    type="PascalVOCDataset",
    data_root=data_root,
    ann_file="ImageSets/Segmentation/aug.txt",
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(type="ConcatDataset", datasets=[dataset_train, dataset_aug]),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="PascalVOCDataset",
        data_root=data_root,
        ann_file="ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
# Kept beside each run's record as image, truth and prediction.
samples = [dict(picture="2007_000332"), dict(picture="2007_000346"), dict(picture="2007_000783")]
