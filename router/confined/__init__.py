"""What runs in processes of its own, where strangers' bytes may break it: small, quick to start, and without rights.

Its modules load the standard library, Pillow, pypdfium2 and each other only. Must not know the rest of the product.
"""
