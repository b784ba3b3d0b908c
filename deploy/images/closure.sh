#!/bin/sh
# Copies every library that a program loads into a folder that becomes the root of its image. What is needed stands in the ELF
# headers of the program and of each library, so that it works for a program of another architecture, which cannot be run here.
#
#   closure.sh PROGRAM ROOT FOLDER-WITH-LIBRARIES...

set -eu

program=$1
root=$2
shift 2

# The loader is where the program says, everything else where the loader looks.
loader=$(readelf --program-headers --wide "$program" | sed -n 's/.*program interpreter: \(.*\)\]$/\1/p')
[ -n "$loader" ] || { echo "closure.sh: $program is linked statically; it needs nothing"; exit 0; }

find_library() {
    name=$1
    shift
    for folder in "$@"; do
        [ ! -e "$folder/$name" ] || { printf '%s\n' "$folder/$name"; return; }
    done
    echo "closure.sh: $name is in none of: $*" >&2
    return 1
}

mkdir -p "$root$(dirname "$loader")" "$root/lib"
cp -L "$(find_library "$(basename "$loader")" "$@")" "$root$loader"
todo=$program
while [ -n "$todo" ]; do
    next=
    for file in $todo; do
        for name in $(readelf --dynamic --wide "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
            if [ "$name" = "$(basename "$loader")" ] || [ -e "$root/lib/$name" ]; then continue; fi
            from=$(find_library "$name" "$@")
            cp -L "$from" "$root/lib/$name"
            next="$next $from"
        done
    done
    todo=$next
done
