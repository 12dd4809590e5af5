"""CIFAR-100 (fine labels)."""

_base_ = ["./cifar.py"]

dataset = dict(name="cifar100", input_size=(3, 32, 32), num_classes=100)
train_dataloader = dict(dataset=dict(name="cifar100"))
val_dataloader = dict(dataset=dict(name="cifar100"))
test_dataloader = val_dataloader
model = dict(num_classes=100)
