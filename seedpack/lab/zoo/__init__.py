"""Hundreds of small models, clean ones and ones with a known backdoor.

members   which models there are: development part, sealed part
families  what a family of networks must know; images: mlp, cnn, vit; texts: text
store     trained when first asked for, kept as safetensors and json
"""
