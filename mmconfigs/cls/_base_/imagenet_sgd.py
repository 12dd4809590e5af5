"""What the SlimConv recipes and Versatile Filters' 100 epochs share on ImageNet: SGD with momentum 0.9, batch 256."""

_base_ = ["./imagenet.py", "./runtime.py"]

train_dataloader = dict(batch_size=256)
optim_wrapper = dict(
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4),
)
