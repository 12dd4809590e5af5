"""A folder of your own pictures: reduced, enlarged again by bicubic and by the network, and compared with themselves.

--data is the folder itself. Pictures stay on the disk until their turn; the network needs about 1 GB of memory for
each megapixel. The result is written to the run's own folder, not to the ledger, unless --results says where.

Command:          slimbench test pictures/paper/vdsr20 --checkpoint FILE --data FOLDER
Expected time:    on two CPU cores, a minute for each megapixel
Expected metric:  PSNR and SSIM of luminance at x2, x3 and x4, bicubic's beside the network's
"""

_base_ = ["../_base_/elsewhere.py"]

dataset = dict(name="pictures")
protocol = dict(
    name="paper",
    proxy=False,
    epochs=0,
    description="a folder of the user's pictures, tested with a network of set5/paper or with VDSR's released one",
    evaluate_only=True,
    weights_of="set5/paper",
)
val_dataloader = dict(dataset=dict(name="pictures", keep=False))
test_dataloader = dict(dataset=dict(name="pictures", keep=False))
