#!/usr/bin/env bash
# What a system administrator would write instead: for every batch one python3 (check and normalise), tar, gpg (sign and
# encrypt), sftp (put and rename), shred.
#   naive.sh SPOOL OUT INBOX GNUPG SIGNER RECIPIENT SSH_CONFIG PYTHON CHECK [sftp options…]
set -euo pipefail
spool=$1 out=$2 inbox=$3 gnupg=$4 signer=$5 recipient=$6 config=$7 python=$8 check=$9
shift 9
for csv in "$spool"/*.csv; do
  b=$(basename "$csv" .csv)
  "$python" "$check" "$csv" > "$spool/$b.norm.csv"
  tar -C "$spool" -cf - "$b.norm.csv" "$b.pdf" \
    | gpg --homedir "$gnupg" --batch --yes --no-tty -q --trust-model always -u "$signer" -r "$recipient" \
          --sign --encrypt -o "$out/$b.gpg"
  shred -u -n 1 "$spool/$b.norm.csv" "$spool/$b.pdf"
  printf 'put %s %s\nrename %s %s\n' "$out/$b.gpg" "$inbox/$b.gpg.part" "$inbox/$b.gpg.part" "$inbox/$b.gpg" \
    | sftp -q -F "$config" "$@" -b - drop > /dev/null
  [ "$(stat -c %s "$out/$b.gpg")" = "$(stat -c %s "$inbox/$b.gpg")" ]
  shred -u -n 1 "$csv" "$out/$b.gpg"
done
