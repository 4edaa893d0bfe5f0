# an archive with owners, modes and links of its own, packed in each way
mkdir -p tree/folder tree/private
echo file > tree/file
echo inner > tree/folder/inner
echo tool > tree/folder/tool
chmod 4755 tree/folder/tool
chmod 700 tree/private
ln tree/file tree/folder/hard
ln -s ../file tree/folder/soft
mkfifo tree/folder/fifo
pack() { tar --create --sort=name --mtime=@1000000000 --owner=:1500 --group=:1600 --directory=tree "$@" file folder private; }
pack --gzip --file=gzip.tar.gz
pack --bzip2 --file=bzip2.tar.bz2
pack --xz --file=xz.tar.xz
pack --file=plain.tar
cp gzip.tar.gz archive-by-content
echo 'not a tar' > not-an-archive.tar.gz
rm -r tree
