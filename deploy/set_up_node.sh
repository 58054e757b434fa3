#!/usr/bin/env bash
# Installs this package on a machine of a cluster: set_up_node.sh head|worker EXTRA
# EXTRA is an extra of pyproject.toml: what Ray's autoscaler needs of a cloud, aws or gcp. May be run
# again. Needs a Linux with glibc 2.28 or newer, curl, and on workers a GPU with its driver.
set -euo pipefail
role=$1 extra=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
# Made on the head. A worker that comes a week later gets the same versions: Ray refuses another Ray,
# and a study asks before it goes on with another torch.
versions=$here/versions.txt
python=$HOME/venv/bin/python
export PATH="$HOME/.local/bin:$PATH"

command -v uv > /dev/null || curl -LsSf https://astral.sh/uv/install.sh | sh
# The image's Python if that is a 3.12, else one that uv brings.
uv venv --quiet --seed --allow-existing --python 3.12 "$HOME/venv"
case $role in
    head)
        uv pip install --quiet --python "$python" --editable "$root[$extra]"
        uv pip freeze --python "$python" --exclude-editable > "$versions"
        ;;
    worker)
        uv pip install --quiet --python "$python" --constraint "$versions" --editable "$root[$extra]"
        # Some images install the driver while they boot for the first time.
        timeout 900 sh -c 'until nvidia-smi > /dev/null 2>&1; do sleep 5; done' || {
            echo "$0: no GPU is seen after 15 minutes: nvidia-smi fails." >&2
            exit 1
        }
        ;;
    *)
        echo "$0: '$role' is neither head nor worker." >&2
        exit 2
        ;;
esac

# Ray starts each of its commands in a shell that reads this. Nothing but SSH reaches the machines
# from outside, so Ray's tokens, which it would make on one of them alone, stay off.
line='. ~/venv/bin/activate; export RAY_AUTH_MODE=disabled'
grep -qxF "$line" ~/.bashrc 2> /dev/null || echo "$line" >> ~/.bashrc
