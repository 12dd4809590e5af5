"""CIFAR-10."""

_base_ = ["./cifar.py"]

dataset = dict(name="cifar10", input_size=(3, 32, 32), num_classes=10)
train_dataloader = dict(dataset=dict(name="cifar10"))
val_dataloader = dict(dataset=dict(name="cifar10"))
test_dataloader = val_dataloader
model = dict(num_classes=10)
