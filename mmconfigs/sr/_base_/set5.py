"""291 pictures to train, Set5 to test; patches of 41x41 at the scales 2, 3 and 4, batch 64, all on the device."""

_base_ = ["../../cls/_base_/runtime.py"]

custom_imports = dict(imports=["benchmarks.training"], allow_failed_imports=False)

dataset = dict(name="set5", input_size=(1, 41, 41), num_classes=0)
train_dataloader = dict(
    dataset=dict(type="PatchesInMemory", name="train291", scales=(2, 3, 4), per_epoch=7_968, device="auto"),
    sampler=dict(type="EpochSampler", shuffle=False),  # each epoch is drawn in a random order by the data set
    collate_fn=dict(type="identity_collate"),
    batch_size=64,
    num_workers=0,
)
val_dataloader = dict(
    dataset=dict(type="PicturesAtScales", name="set5", scales=(2, 3, 4), device="auto"),
    sampler=dict(type="EpochSampler", shuffle=False, round_up=False),
    collate_fn=dict(type="only_one"),
    batch_size=1,
    num_workers=0,
)
test_dataloader = val_dataloader
val_evaluator = dict(type="EnlargementQuality", brief=True)
test_evaluator = dict(type="EnlargementQuality")

# Kept beside a run's record as pictures: left, top, width and height in pixels of the original.
samples = [
    dict(picture="baby", scale=4, box=(120, 152, 96, 96)),  # an eye
    dict(picture="butterfly", scale=2, box=(152, 60, 96, 96)),  # veins and spots of the wing
]

model = dict(type="SuperResolver", name="vdsr22", val_dtype="bfloat16")
