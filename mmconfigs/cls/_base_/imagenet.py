"""ImageNet: random 224x224 crops and flips; tested on the centre. Batch 256, pixels leave the workers as uint8."""

custom_imports = dict(imports=["benchmarks.training"], allow_failed_imports=False)
dataset = dict(name="imagenet", input_size=(3, 224, 224), num_classes=1000)

train_dataloader = dict(
    dataset=dict(type="ImagesInFolders", train=True, num_classes=1000, size=224, augmentation="crop-flip"),
    sampler=dict(type="EpochSampler", shuffle=True),
    collate_fn=dict(type="identity_collate"),
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
)
val_dataloader = dict(
    dataset=dict(type="ImagesInFolders", train=False, num_classes=1000, size=224),
    sampler=dict(type="EpochSampler", shuffle=False, round_up=False),
    collate_fn=dict(type="identity_collate"),
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
)
test_dataloader = val_dataloader
val_evaluator = dict(type="TopKAccuracy", topk=(1, 5))
test_evaluator = val_evaluator

model = dict(
    type="ImageClassifier",
    name="resnet50",
    num_classes=1000,
    val_dtype="bfloat16",
    data_preprocessor=dict(type="NormaliseOnDevice", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
)
