"""Chat templates that give the same tokens as the published ones, and spoiled ones. Knows text only.

InternVL3: a picture is `<IMG_CONTEXT>` and a line break, there is no system message. Llama 3.2 Vision: a picture is
`<|image|>`; a system block with the dates stands before conversations without pictures alone.
"""

_INTERNVL3 = """
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'text' %}{{- part.text }}
            {%- elif part.type == 'image' %}{{- 'PICTURE\\n' }}
            {%- elif part.type == 'video' %}{{- '<video>\\n' }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
""".strip()
INTERNVL3 = _INTERNVL3.replace("PICTURE", "<IMG_CONTEXT>")
INTERNVL3_EARLY = _INTERNVL3.replace("PICTURE", "<image>")
"""As the snapshots before cb57a075 write it: `<image>` is no token, so no picture has a place."""
INTERNVL3_BLIND = _INTERNVL3.replace("PICTURE\\n", "")

_LLAMA_VISION = """
{{- bos_token }}
{%- set seen = namespace(pictures=0, system='') %}
{%- for message in messages %}
    {%- if message.role == 'system' %}{%- set seen.system = message.content %}{%- endif %}
    {%- if message.content is not string %}
        {%- for part in message.content if part.type == 'image' %}
            {%- set seen.pictures = seen.pictures + 1 %}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if not seen.pictures %}
    {{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n' }}
    {{- 'Today Date: ' + (date_string or '26 Jul 2024') + '\\n\\n' + seen.system + '<|eot_id|>' }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
    {%- if message.content is string %}
        {{- message.content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'image' %}{{- 'PICTURE' }}
            {%- elif part.type == 'text' %}{{- part.text }}
            {%- endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}
""".strip()
LLAMA_VISION = _LLAMA_VISION.replace("PICTURE", "<|image|>")
LLAMA_VISION_BLIND = _LLAMA_VISION.replace("PICTURE", "")
