"""CIFAR-10 or CIFAR-100: 50,000 training and 10,000 test images, batch 128, padding 4 + crop + flip, batched in memory."""

custom_imports = dict(imports=["benchmarks.training"], allow_failed_imports=False)

train_dataloader = dict(
    dataset=dict(type="CifarInMemory", train=True, device="auto"),
    sampler=dict(type="EpochSampler", shuffle=True),
    collate_fn=dict(type="identity_collate"),
    batch_size=128,
    num_workers=0,
)
val_dataloader = dict(
    dataset=dict(type="CifarInMemory", train=False, device="auto"),
    sampler=dict(type="EpochSampler", shuffle=False, round_up=False),
    collate_fn=dict(type="identity_collate"),
    batch_size=250,
    num_workers=0,
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Top1Accuracy")
test_evaluator = val_evaluator

model = dict(type="ImageClassifier", name="resnet56_cifar", val_dtype="bfloat16")
