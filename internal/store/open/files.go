package open

import (
	"context"

	"github.com/tierwall/tierwall/internal/store"
	"github.com/tierwall/tierwall/internal/store/files"
)

func openFiles(dir string) (store.Source, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	return directory(dir), nil
}

// directory is a directory as a store.Source.
type directory string

func (d directory) List(context.Context) (store.Listing, error) {
	read := files.LoadAll([]string{string(d)}, files.Options{})
	return store.Listing(read), nil
}

func (d directory) Watch(ctx context.Context, deliver func(store.Batch) error) error {
	return files.Watch(ctx, string(d), files.Options{}, deliver)
}

func (d directory) String() string { return KindFiles + ":" + string(d) }
