//! Apache Parquet: a column each for time (UTC, milliseconds), device, kind, name, unit, and the numbers.
//!
//! Row groups of [`GROUP_ROWS`] are the most that is held. Texts repeat and go into dictionaries. The file can be read
//! when its last bytes have come: they hold where everything is.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::{Column, EncodeError, Encoder, Head, Value};

/// Rows of a row group: some 10 MB while it is filled.
const GROUP_ROWS: usize = 200_000;

/// Rows as row groups.
pub(super) struct Parquet {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Column>,
    /// Columns of texts that every row has.
    texts: usize,
    group: Group,
}

/// The rows that are not written yet.
#[derive(Default)]
struct Group {
    times: Vec<i64>,
    /// Store (if it is said), device, kind and name by series.
    texts: Vec<Vec<ByteArray>>,
    units: Vec<Option<ByteArray>>,
    /// How many rows each series has.
    rows: Vec<usize>,
    /// Row by row.
    values: Vec<Option<Value>>,
}

impl Parquet {
    pub(super) fn new(says_store: bool, columns: Vec<Column>) -> Result<Self, EncodeError> {
        let store = says_store.then_some("store");
        let texts: Vec<&str> = store.into_iter().chain(["device", "kind", "name"]).collect();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("storepulse-cloud ", env!("CARGO_PKG_VERSION")).to_owned());
        let schema = schema(&texts, &columns)?;
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
        Ok(Self { writer, columns, texts: texts.len(), group: Group::default() })
    }

    fn write_group(&mut self) -> Result<(), EncodeError> {
        let group = std::mem::take(&mut self.group);
        if group.times.is_empty() {
            return Ok(());
        }
        let mut out = self.writer.next_row_group()?;
        if let Some(mut column) = out.next_column()? {
            column.typed::<Int64Type>().write_batch(&group.times, None, None)?;
            column.close()?;
        }
        for at in 0..self.texts {
            let texts = group.by_row(|series| group.texts[series][at].clone());
            write_texts(&mut out, &texts, None)?;
        }
        let units = group.by_row(|series| group.units[series].clone());
        let levels: Vec<i16> = units.iter().map(|unit| i16::from(unit.is_some())).collect();
        write_texts(&mut out, &units.into_iter().flatten().collect::<Vec<_>>(), Some(&levels))?;
        for (at, column) in self.columns.iter().enumerate() {
            let values = group.values.iter().skip(at).step_by(self.columns.len());
            write_numbers(&mut out, values, column.is_count)?;
        }
        out.close()?;
        Ok(())
    }
}

impl Group {
    fn by_row<T: Clone>(&self, of: impl Fn(usize) -> T) -> Vec<T> {
        let rows = self.rows.iter().enumerate();
        rows.flat_map(|(series, rows)| std::iter::repeat_n(of(series), *rows)).collect()
    }
}

fn write_texts(
    out: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    texts: &[ByteArray],
    levels: Option<&[i16]>,
) -> Result<(), EncodeError> {
    if let Some(mut column) = out.next_column()? {
        column.typed::<ByteArrayType>().write_batch(texts, levels, None)?;
        column.close()?;
    }
    Ok(())
}

fn write_numbers<'a>(
    out: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: impl Iterator<Item = &'a Option<Value>> + Clone,
    is_count: bool,
) -> Result<(), EncodeError> {
    let levels: Vec<i16> = values.clone().map(|value| i16::from(value.is_some())).collect();
    let Some(mut column) = out.next_column()? else { return Ok(()) };
    if is_count {
        let counts: Vec<i64> = values.flatten().map(count).collect();
        column.typed::<Int64Type>().write_batch(&counts, Some(&levels), None)?;
    } else {
        let numbers: Vec<f64> = values.flatten().map(number).collect();
        column.typed::<DoubleType>().write_batch(&numbers, Some(&levels), None)?;
    }
    column.close()?;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a column of counts holds counts")]
fn count(value: &Value) -> i64 {
    match value {
        Value::Count(count) => i64::try_from(*count).unwrap_or(i64::MAX),
        Value::Number(number) => *number as i64,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a column of numbers holds numbers")]
fn number(value: &Value) -> f64 {
    match value {
        Value::Count(count) => *count as f64,
        Value::Number(number) => *number,
    }
}

fn schema(texts: &[&str], columns: &[Column]) -> Result<TypePtr, EncodeError> {
    let text = |name: &str, repetition| {
        let column = Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY);
        column.with_logical_type(Some(LogicalType::String)).with_repetition(repetition).build()
    };
    let utc_ms = LogicalType::timestamp(true, TimeUnit::MILLIS);
    let time = Type::primitive_type_builder("time", PhysicalType::INT64);
    let mut fields =
        vec![time.with_logical_type(Some(utc_ms)).with_repetition(Repetition::REQUIRED).build()?];
    for name in texts {
        fields.push(text(name, Repetition::REQUIRED)?);
    }
    fields.push(text("unit", Repetition::OPTIONAL)?);
    for column in columns {
        let of = if column.is_count { PhysicalType::INT64 } else { PhysicalType::DOUBLE };
        let column = Type::primitive_type_builder(column.name, of);
        fields.push(column.with_repetition(Repetition::OPTIONAL).build()?);
    }
    let fields = fields.into_iter().map(Arc::new).collect();
    Ok(Arc::new(Type::group_type_builder("samples").with_fields(fields).build()?))
}

impl Encoder for Parquet {
    fn series(&mut self, head: &Head) -> Result<(), EncodeError> {
        let store = head.store.as_deref().into_iter();
        let texts = store.chain([&*head.device, &*head.kind, &*head.name]).map(ByteArray::from);
        self.group.texts.push(texts.collect());
        self.group.units.push(head.unit.as_deref().map(ByteArray::from));
        self.group.rows.push(0);
        Ok(())
    }

    fn row(&mut self, t: i64, values: &[Option<Value>]) -> Result<(), EncodeError> {
        if self.group.times.len() == GROUP_ROWS {
            let (texts, unit) = (self.group.texts.last().cloned(), self.group.units.last().cloned());
            self.write_group()?;
            self.group.texts.extend(texts);
            self.group.units.extend(unit);
            self.group.rows.push(0);
        }
        self.group.times.push(t);
        self.group.values.extend_from_slice(values);
        if let Some(rows) = self.group.rows.last_mut() {
            *rows += 1;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EncodeError> {
        self.write_group()?;
        self.writer.finish()?;
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>, EncodeError> {
        self.writer.flush()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }
}
