"""A VOC 2012 of few images, whole images at 129 pixels on the long side: shows that the path works, measures nothing.

Any folder that holds VOCdevkit/VOC2012 will do: `data`, or the one that the environment variable SLIMBENCH_DATA names.
"""

dataset = dict(name="voc-mini", input_size=(3, 129, 129), num_classes=21)
data_folder = "{{$SLIMBENCH_DATA:data}}"
data_root = data_folder + "/VOCdevkit/VOC2012"
scale = (129, 129)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="PascalVOCDataset",
        data_root=data_root,
        ann_file="ImageSets/Segmentation/train.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="Resize", scale=scale, keep_ratio=True),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PackSegInputs"),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="PascalVOCDataset",
        data_root=data_root,
        ann_file="ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=scale, keep_ratio=True),
            dict(type="LoadAnnotations"),  # behind Resize: truth keeps the image's own size
            dict(type="PackSegInputs"),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
