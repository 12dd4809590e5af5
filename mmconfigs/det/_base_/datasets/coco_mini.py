"""Eight images of a COCO 2017 of few images, the longer side at 192 pixels, trained and tested on: measures memory only.

    data/coco-mini/train2017/*.jpg
    data/coco-mini/annotations/instances_train2017.json

The images are chosen for few and large objects, 20 in all. Without the file of annotations CocoMetric takes the truth
of the images that it is shown, and areas are those of boxes.
"""

data_folder = "{{$SLIMBENCH_DATA:data}}"
dataset = dict(name="coco-mini", input_size=(3, 128, 192), num_classes=80)

scale = (192, 144)
indices = [1, 4, 6, 8, 19, 21, 43, 63]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="RepeatDataset",
        times=5,
        dataset=dict(
            type="CocoDataset",
            data_root=data_folder + "/coco-mini",
            ann_file="annotations/instances_train2017.json",
            data_prefix=dict(img="train2017/"),
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
        type="CocoDataset",
        data_root=data_folder + "/coco-mini",
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        indices=indices,
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=scale, keep_ratio=True),
            dict(type="LoadAnnotations", with_bbox=True),  # behind Resize: truth keeps the image's own size
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances"),
            ),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="CocoMetric", metric="bbox")
test_evaluator = val_evaluator
# Kept beside each run's record as image, truth and prediction.
samples = [dict(picture="000000000136"), dict(picture="000000000321"), dict(picture="000000000650")]
