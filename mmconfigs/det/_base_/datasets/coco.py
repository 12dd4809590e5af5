"""COCO 2017: train2017 (117,266 images with objects) are train and val of 2014 but for minival, val2017 is minival.

    data/coco/train2017/*.jpg  data/coco/val2017/*.jpg
    data/coco/annotations/instances_{train2017,val2017}.json

The shorter side is at 600, the longer at most at 1000; an epoch shows each image once, mirrored with a chance of one
half. The test is COCO's own.
"""

data_folder = "{{$SLIMBENCH_DATA:data}}"
dataset = dict(name="coco", input_size=(3, 600, 1000), num_classes=80)

scale = (1000, 600)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),  # behind Resize: truth keeps the image's own size
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="CocoDataset",
        data_root=data_folder + "/coco",
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoDataset",
        data_root=data_folder + "/coco",
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="CocoMetric",
    ann_file=data_folder + "/coco/annotations/instances_val2017.json",
    metric="bbox",
)
test_evaluator = val_evaluator
# Kept beside each run's record as image, truth and prediction.
samples = [dict(picture="000000000139"), dict(picture="000000000785"), dict(picture="000000000872")]
