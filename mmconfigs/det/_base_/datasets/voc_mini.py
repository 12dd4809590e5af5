"""Eight images of a VOC 2012 of few images, the longer side at 192 pixels, trained and tested on: measures memory only.

    data/VOCdevkit/VOC2012/{JPEGImages/*.jpg, Annotations/*.xml, ImageSets/Main/train.txt}

The images are chosen for few and large objects, 14 in all, of 9 classes. The test is VOC 2012's: mean average precision
at an IoU of 0.5, the area below the curve.
"""

data_folder = "{{$SLIMBENCH_DATA:data}}"
dataset = dict(name="voc-mini", input_size=(3, 128, 192), num_classes=20)

scale = (192, 144)
indices = [2, 3, 12, 15, 23, 26, 30, 33]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="RepeatDataset",
        times=5,
        dataset=dict(
            type="VOCDataset",
            data_root=data_folder + "/VOCdevkit",
            ann_file="VOC2012/ImageSets/Main/train.txt",
            data_prefix=dict(sub_data_root="VOC2012/"),
            indices=indices,
            pipeline=[
                dict(type="LoadImageFromFile"),
                dict(type="LoadAnnotations", with_bbox=True),
                dict(type="Resize", scale=scale, keep_ratio=True),
                dict(type="PackDetInputs"),
            ],
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VOCDataset",
        data_root=data_folder + "/VOCdevkit",
        ann_file="VOC2012/ImageSets/Main/train.txt",
        data_prefix=dict(sub_data_root="VOC2012/"),
        indices=indices,
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=scale, keep_ratio=True),
            dict(type="LoadAnnotations", with_bbox=True),  # behind Resize: truth keeps the image's own size
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="VOCMetric", metric="mAP", eval_mode="area")
test_evaluator = val_evaluator
