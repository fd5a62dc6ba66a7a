// Writes a Parquet file as CSV, one group of rows at a time: node parquet.mjs FILE.parquet FILE.csv
import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { decompress } from 'fzstd'

const [from, to] = process.argv.slice(2)
const file = await asyncBufferFromFile(from)
const metadata = await parquetMetadataAsync(file)
const out = createWriteStream(to)
const text = value => value instanceof Date ? value.toISOString().slice(0, 16).replace('T', ' ') : value ?? ''

out.write(metadata.row_groups[0].columns.map(column => column.meta_data.path_in_schema[0]).join(',') + '\n')
for (let start = 0, group = 0; group < metadata.row_groups.length; group++) {
  const end = start + Number(metadata.row_groups[group].num_rows)
  await parquetRead({
    file, metadata, rowStart: start, rowEnd: end, compressors: { ZSTD: (input, length) => decompress(input, new Uint8Array(length)) },
    onComplete: async rows => { out.write(rows.map(row => row.map(text).join(',') + '\n').join('')) },
  })
  if (out.writableNeedDrain) await once(out, 'drain')
  start = end
}
out.end()
await finished(out)
