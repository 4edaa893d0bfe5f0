# an archive with owners, modes and links of its own, and an entry for its root
mkdir -p tree/folder tree/private
echo file > tree/file
echo inner > tree/folder/inner
echo tool > tree/folder/tool
chmod 4755 tree/folder/tool
chmod 700 tree/private
ln tree/file tree/folder/hard
ln -s ../file tree/folder/soft
mkfifo tree/folder/fifo
pack() { tar --create --sort=name --mtime=@1000000000 --owner=:1500 --group=:1600 --directory=tree "$@" .; }
chmod 700 tree
pack --file=plain.tar
rm -r tree
