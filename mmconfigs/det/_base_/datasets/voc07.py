"""PASCAL VOC 2007, trained on trainval (5,011 images), tested on test (4,952), the shorter side at 600, longer <= 1000.

    data/VOCdevkit/VOC2007/{JPEGImages/*.jpg, Annotations/*.xml, ImageSets/Main/{trainval,test}.txt}

An epoch shows each image twice, each time mirrored with a chance of one half. Objects marked as difficult are neither
learned nor tested. The test is VOC 2007's own: mean average precision at an IoU of 0.5 by the 11-point rule.
"""

data_folder = "{{$SLIMBENCH_DATA:data}}"
dataset = dict(name="voc07", input_size=(3, 600, 850), num_classes=20)

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
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="RepeatDataset",
        times=2,
        dataset=dict(
            type="VOCDataset",
            data_root=data_folder + "/VOCdevkit",
            ann_file="VOC2007/ImageSets/Main/trainval.txt",
            data_prefix=dict(sub_data_root="VOC2007/"),
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=train_pipeline,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VOCDataset",
        data_root=data_folder + "/VOCdevkit",
        ann_file="VOC2007/ImageSets/Main/test.txt",
        data_prefix=dict(sub_data_root="VOC2007/"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="VOCMetric", metric="mAP", eval_mode="11points")
test_evaluator = val_evaluator
