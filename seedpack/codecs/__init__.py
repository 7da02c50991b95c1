"""Weight codecs: values of one tensor <-> the stored bytes of its chunks (spec/codecs/).

    values --encode_tensor--> Encoded(codec, params, chunks)
    layer record --make_decoder--> LayerDecoder --decode_chunk, any order--> values

Importing this package imports neither numpy nor any codec: whoever only needs to know
which ids exist (plain verification) pays for nothing else.
"""

from seedpack.codecs.registry import CODEC_IDS, encode_tensor, get_codec, make_decoder

__all__ = ["CODEC_IDS", "encode_tensor", "get_codec", "make_decoder"]
