"""The first eight training images of a VOC 2012 of few images, to be learned by heart: trained on and tested on.

All at 129x129, whatever their proportions, so that nothing is filled and training and testing see the same pixels; no
flips and no crops. What is found is compared with the masks at their own size.
"""

_base_ = ["./voc_mini.py"]

scale = (129, 129)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        indices=8,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="Resize", scale=scale, keep_ratio=False),
            dict(type="PackSegInputs"),
        ],
    ),
)
val_dataloader = dict(
    dataset=dict(
        ann_file="ImageSets/Segmentation/train.txt",
        indices=8,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=scale, keep_ratio=False),
            dict(type="LoadAnnotations"),  # behind Resize: truth keeps the image's own size
            dict(type="PackSegInputs"),
        ],
    ),
)
test_dataloader = val_dataloader
# Kept beside each run's record as image, truth and prediction.
samples = [dict(picture="2007_000063"), dict(picture="2007_000170"), dict(picture="2007_000241")]
