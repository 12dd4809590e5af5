"""COCO 2014, trained on train and val but for 5,000 images (117,266 with objects), tested on these, "minival".

    data/coco/train2014/*.jpg  data/coco/val2014/*.jpg
    data/coco/annotations/instances_{train2014,valminusminival2014,minival2014}.json

`slimbench data prepare coco2014` writes the last two. The shorter side is at 600, the longer at most at 1000; an epoch
shows each image twice, each time mirrored with a chance of one half. The test is COCO's own.
"""

data_folder = "{{$SLIMBENCH_DATA:data}}"
dataset = dict(name="coco2014", input_size=(3, 600, 899), num_classes=80)

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
dataset_train = dict(
    type="CocoDataset",
    data_root=data_folder + "/coco",
    ann_file="annotations/instances_train2014.json",
    data_prefix=dict(img="train2014/"),
    filter_cfg=dict(filter_empty_gt=True),
    pipeline=train_pipeline,
)
dataset_valminusminival = dict(
    type="CocoDataset",
    data_root=data_folder + "/coco",
    ann_file="annotations/instances_valminusminival2014.json",
    data_prefix=dict(img="val2014/"),
    filter_cfg=dict(filter_empty_gt=True),
    pipeline=train_pipeline,
)
train_dataloader = dict(
    batch_size=24,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="AspectRatioBatchSampler"),
    dataset=dict(
        type="RepeatDataset",
        times=2,
        dataset=dict(type="ConcatDataset", datasets=[dataset_train, dataset_valminusminival]),
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
        ann_file="annotations/instances_minival2014.json",
        data_prefix=dict(img="val2014/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="CocoMetric",
    ann_file=data_folder + "/coco/annotations/instances_minival2014.json",
    metric="bbox",
)
test_evaluator = val_evaluator
